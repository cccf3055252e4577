"""The kept settings of a run."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from ammrg.errors import SettingsError
from experiments.__main__ import main
from experiments.runs.settings import differences, keep

CONFIGS = Path(__file__).parents[2] / "experiments" / "configs"
SETTINGS = {
    "seed_everything": 0,
    "trainer": {
        "max_epochs": 3,
        "default_root_dir": "a",
        "callbacks": [{"class_path": "x.Keep", "init_args": {"n": 1}}],
    },
    "model": {"class_path": "m.Model", "init_args": {"lr": 1e-3, "lora": None}},
    "ckpt_path": None,
}


def test_first_call_keeps_and_the_same_settings_are_welcome_again(tmp_path: Path) -> None:
    assert keep(SETTINGS, tmp_path) is False
    assert keep(SETTINGS, tmp_path) is True
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_a_change_is_refused_by_its_command_line_name(tmp_path: Path) -> None:
    keep(SETTINGS, tmp_path)
    changed = {**SETTINGS, "model": {"class_path": "m.Model", "init_args": {"lr": 1e-4, "lora": {"rank": 8}}}}
    with pytest.raises(SettingsError, match=r"model\.lr: 0\.001 \(kept\) -> 0\.0001 \(asked\)") as caught:
        keep(changed, tmp_path)
    assert "model.lora.rank: not set (kept) -> 8 (asked)" in str(caught.value)
    assert "RUN=" in str(caught.value)


def test_cosmetic_keys_may_differ() -> None:
    moved = {**SETTINGS, "trainer": {**SETTINGS["trainer"], "default_root_dir": "b"}, "ckpt_path": "last.ckpt"}
    assert differences(SETTINGS, moved) == []


def test_a_setting_that_came_later_is_no_change_while_it_stands_at_its_default() -> None:
    data = {"class_path": "datamodules.iu_xray.IUXRayDataModule", "init_args": {"folder": "f", "batch_size": 8}}
    callbacks = [{"class_path": "callbacks.memory_writer.RegionMemoryWriter", "init_args": {"maps_num": 7}}]
    kept = {**SETTINGS, "data": data, "trainer": {"callbacks": callbacks}}

    def asked(writer: dict[str, object], **settings: object) -> dict[str, object]:
        now = {**data, "init_args": {**data["init_args"], **settings}}  # type: ignore[dict-item]
        later = [{**callbacks[0], "init_args": {**callbacks[0]["init_args"], **writer}}]  # type: ignore[dict-item]
        return {**kept, "data": now, "trainer": {"callbacks": later}}

    assert differences(kept, asked({"selection": "coreset", "seed": 0}, folds=1, left_out_fold=None)) == []
    assert sorted(differences(kept, asked({"seed": 3}, folds=2))) == [
        "data.folds: not set (kept) -> 2 (asked)",
        "trainer.callbacks.RegionMemoryWriter.seed: not set (kept) -> 3 (asked)",
    ]


def test_a_callbacks_setting_is_named_with_its_class() -> None:
    callbacks = [{"class_path": "x.Keep", "init_args": {"n": 2}}]
    changed = {**SETTINGS, "trainer": {**SETTINGS["trainer"], "callbacks": callbacks}}
    assert differences(SETTINGS, changed) == ["trainer.callbacks.Keep.n: 1 (kept) -> 2 (asked)"]


def test_forced_settings_replace_the_kept_ones_and_are_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(SETTINGS, tmp_path)
    changed = {**SETTINGS, "model": {"class_path": "m.Model", "init_args": {"lr": 1e-4, "lora": None}}}
    assert keep(changed, tmp_path, forced=True) is False
    assert "model.lr: 0.001 (kept) -> 0.0001 (asked)" in capsys.readouterr().out
    assert "model.lr: 0.001 (kept)" in (tmp_path / "forced.log").read_text()
    assert keep(changed, tmp_path) is True


def old_and_new(stage: str, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model's settings of a ``nano`` run as they were kept when groups held what was given alone, and as they are
    asked for now."""
    files = (CONFIGS / stage / "default.yaml", CONFIGS / "data" / "phantom.yaml", CONFIGS / stage / "nano.yaml")
    words = [word for file in files for word in ("-c", str(file))]
    if stage == "stage2":
        words += ["--model.stage1_checkpoint=a", "--model.regions_memory=r", "--model.reports_memory=s"]
    assert main(["fit", *words, *more, "--print_config"]) == 0
    asked = {"model": yaml.safe_load(capsys.readouterr().out)["model"]}
    given = yaml.safe_load((CONFIGS / stage / "nano.yaml").read_text())["model"]["init_args"]
    groups = {"stage1": ("encoder", "qformer", "regions"), "stage2": ("lora", "network", "unfreeze_at", "decoding")}
    kept = copy.deepcopy(asked)
    kept["model"]["init_args"] |= {name: given.get(name) for name in groups[stage]}
    return kept, asked


@pytest.mark.parametrize("stage", ["stage1", "stage2"])
def test_a_run_whose_groups_were_not_spelled_out_is_the_same(stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    kept, asked = old_and_new(stage, capsys)
    assert kept != asked
    assert differences(kept, asked) == []
    assert differences(asked, asked) == []


def test_what_is_asked_of_an_old_run_s_groups_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    kept, asked = old_and_new("stage2", capsys, "--model.network.hopfield.beta=3", "--model.unfreeze_at.projections=5")
    assert "model.network.hopfield.beta: not set (kept) -> 3.0 (asked)" in differences(kept, asked)
    assert "model.unfreeze_at.projections: not set (kept) -> 5 (asked)" in differences(kept, asked)
    kept, asked = old_and_new("stage2", capsys, "--model.lora=null")
    assert "model.lora.rank: 4 (kept) -> not set (asked)" in differences(kept, asked)
    kept["model"]["init_args"]["lora"] = None
    asked["model"]["init_args"]["lora"] = {"rank": 8, "alpha": None, "dropout": 0.0, "targets": None}
    assert "model.lora.rank: not set (kept) -> 8 (asked)" in differences(kept, asked)
    kept, asked = old_and_new("stage1", capsys, "--model.regions.share=0.5")
    assert "model.regions.share: not set (kept) -> 0.5 (asked)" in differences(kept, asked)
