"""Every shipped YAML goes through the real command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from experiments.__main__ import main

CONFIGS = Path(__file__).parents[2] / "experiments" / "configs"
DATA = sorted((CONFIGS / "data").glob("*.yaml"))
ABLATIONS = sorted((CONFIGS / "ablations").glob("*.yaml"))
OVERLAYS = sorted(path for stage in ("stage1", "memory", "stage2") for path in (CONFIGS / stage).glob("*.yaml"))


def command(overlay: Path, data: Path) -> list[str]:
    """The command line that the Makefile builds for an overlay."""
    stage = overlay.parent.name
    extra = ["--trainer.default_root_dir=outputs/x/y/" + stage]
    if stage == "stage2":
        extra += ["--model.stage1_checkpoint=a.ckpt", "--model.regions_memory=r", "--model.reports_memory=s"]
    configs = ["-c", str(overlay.parent / "default.yaml"), "-c", str(data), "-c", str(overlay)]
    return ["predict" if stage == "memory" else "fit", *configs, *extra]


def test_the_lists_are_not_empty() -> None:
    assert len(DATA) >= 2
    assert {path.parent.name for path in OVERLAYS} == {"stage1", "memory", "stage2"}
    assert len(OVERLAYS) >= 9
    assert set(CONFIGS.rglob("*.yaml")) == {*DATA, *OVERLAYS, *ABLATIONS}  # ablations: test_ablate.py


@pytest.mark.parametrize("data", DATA, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    "overlay", [path for path in OVERLAYS if path.stem != "default"], ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_every_overlay_parses_with_every_data_set(
    overlay: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command(overlay, data), "--print_config"]) == 0
    resolved = yaml.safe_load(capsys.readouterr().out)
    asked = yaml.safe_load(overlay.read_text())
    for key, value in (asked.get("model") or {}).get("init_args", {}).items():
        if not isinstance(value, dict):
            assert resolved["model"]["init_args"][key] == value
    assert resolved["data"]["init_args"]["predict_split"] == ("test" if overlay.parent.name == "stage2" else "train")


@pytest.mark.parametrize("path", [*DATA, *OVERLAYS, *ABLATIONS], ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_file_opens_with_its_own_command_or_purpose(path: Path) -> None:
    head = path.read_text().splitlines()[:2]
    assert head[0].startswith("# ")
    assert any("make " in line or "python -m experiments" in line for line in head), path


def test_an_unknown_key_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    overlay = CONFIGS / "stage1" / "tiny.yaml"
    assert main([*command(overlay, DATA[-1]), "--model.learning_speed=3"]) != 0
    assert "learning_speed" in capsys.readouterr().err
