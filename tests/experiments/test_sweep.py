"""Every sweep file is one that W&B reads, and its trials are ones that the command line takes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

from ammrg.errors import SettingsError
from benchmarks.kills import borrow_environment
from experiments.__main__ import main
from experiments.sweep import drawn, expand, read_sweep

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "experiments" / "configs"
SWEEPS = sorted((ROOT / "experiments" / "sweeps").glob("*.yaml"))
SCHEMA = os.environ.get("AMMRG_SWEEP_SCHEMA", "")
"""`sweeps/config/schema.json` of W&B's package `sweeps`, which wants numpy below 2: no part of the environment."""


def test_the_list_is_whole() -> None:
    assert [path.stem for path in SWEEPS] == ["memory", "stage1", "stage2"]


@pytest.mark.skipif(not SCHEMA, reason="AMMRG_SWEEP_SCHEMA names no schema of W&B's")
@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_wandb_s_own_schema_takes_the_file(path: Path) -> None:
    validator = jsonschema.Draft7Validator(json.loads(Path(SCHEMA).read_text()))
    settings = yaml.safe_load(path.read_text())
    assert [error.message for error in validator.iter_errors(settings)] == []
    # what the schema would not let pass
    broken = {**settings, "method": "guess"}
    assert [error.message for error in validator.iter_errors(broken)]


def test_every_file_opens_with_its_command() -> None:
    assert all(path.read_text().startswith("# make sweep STAGE=") for path in SWEEPS)


@pytest.mark.parametrize("path", [path for path in SWEEPS if path.stem != "memory"], ids=lambda path: path.stem)
def test_the_command_line_takes_its_trials(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = (CONFIGS / path.stem / "default.yaml", CONFIGS / "data" / "phantom.yaml", CONFIGS / path.stem / "tiny.yaml")
    words = [word for file in files for word in ("-c", str(file))]
    if path.stem == "stage2":
        words += ["--model.stage1_checkpoint=a", "--model.regions_memory=r", "--model.reports_memory=s"]
    for trial in expand(read_sweep(path), 3):
        assert main(["fit", *words, *trial.arguments, "--print_config"]) == 0
        resolved = yaml.safe_load(capsys.readouterr().out)
        wanted = dict(argument.removeprefix("--").split("=") for argument in trial.arguments)
        assert resolved["model"]["init_args"]["lr"] == float(wanted["model.lr"])


def test_trials_are_drawn_within_bounds_and_again_the_same() -> None:
    sweep = read_sweep(ROOT / "experiments" / "sweeps" / "stage1.yaml")
    trials = expand(sweep, 50, seed=3)
    assert trials == expand(sweep, 50, seed=3)
    assert trials != expand(sweep, 50, seed=4)
    rates = [float(trial.arguments[0].partition("=")[2]) for trial in trials]
    assert 3e-4 <= min(rates) < 6e-4
    assert 1.5e-3 < max(rates) <= 3e-3


def test_a_grid_ends_with_its_last_cell() -> None:
    trials = expand(read_sweep(ROOT / "experiments" / "sweeps" / "memory.yaml"), 1000)
    assert len(trials) == len({tuple(trial.arguments) for trial in trials}) == 12


def test_bad_sweeps_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no such sweep; .* memory, stage1, stage2"):
        read_sweep(tmp_path / "no.yaml")
    (tmp_path / "half.yaml").write_text("method: grid\n")
    with pytest.raises(SettingsError, match="lacks metric, name, parameters"):
        read_sweep(tmp_path / "half.yaml")
    with pytest.raises(SettingsError, match=r"model.lr: distribution 'beta'"):
        drawn("model.lr", {"distribution": "beta"}, None)  # type: ignore[arg-type]


@pytest.mark.slow
def test_three_trials_of_each_sweep_run_on_the_phantom(tmp_path: Path) -> None:
    borrow_environment(tmp_path / "venv")
    paths = {"VENV": "venv", "OUT": "out", "DATA": "data", "MODELS": "models"}
    words = [*(f"{name}={tmp_path}/{folder}" for name, folder in paths.items()), "MODEL=nano", "COUNT=3", "DRY=1"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    for stage, metric in (("1", "val/auroc_macro"), ("memory", "macro/coverage"), ("2", "val/score")):
        command = ["make", "-C", str(ROOT), "sweep", f"STAGE={stage}", *words]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        rows = json.loads((tmp_path / "out" / "phantom" / f"sweep_{stage}_nano" / "trials.json").read_text())
        assert len(rows) == len({tuple(row["arguments"]) for row in rows.values()}) == 3
        assert all(row[metric] >= 0 for row in rows.values())
        assert "3 trials drawn here" in done.stdout


def test_without_a_login_a_sweep_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    assert main(["sweep", str(SWEEPS[1]), "--out", str(tmp_path), "fit", "-c", "x"]) == 1
    assert "`wandb login` first, or DRY=1" in capsys.readouterr().err
