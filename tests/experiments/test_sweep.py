"""Every sweep file is one that W&B reads, and its trials are ones that the command line takes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

from ammrg.commands.exit_status import STOPPED
from ammrg.errors import SettingsError
from benchmarks.kills import borrow_environment
from experiments.__main__ import main
from experiments.launching.sweep import ARGUMENTS
from experiments.launching.sweep_trials import drawn, expand, read_sweep

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


def test_null_and_lists_reach_the_trainer_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = {
        "model.network.pool_image_tokens": {"values": [None]},
        "model.lora": {"value": None},
        "model.freeze": {"value": ["encoder", "qformer", "lora"]},
        "model.gradient_checkpointing": {"value": True},
        "model.exclude_self": {"value": "study"},
        "model.network.hopfield": {"value": {"beta": 2.0, "dropout": 0.0}},
    }
    sweep = {"name": "stage2", "method": "grid", "metric": {"name": "m", "goal": "minimize"}, "parameters": values}
    (trial,) = expand(sweep, 5)
    files = [CONFIGS / "stage2" / "default.yaml", CONFIGS / "data" / "phantom.yaml", CONFIGS / "stage2" / "tiny.yaml"]
    words = [word for file in files for word in ("-c", str(file))]
    words += ["--model.stage1_checkpoint=a", "--model.regions_memory=r", "--model.reports_memory=s"]
    assert main(["fit", *words, *trial.arguments, "--print_config"]) == 0
    found = yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]
    assert (found["network"]["pool_image_tokens"], found["lora"]) == (None, None)
    assert (found["freeze"], found["gradient_checkpointing"]) == (["encoder", "qformer", "lora"], True)
    assert found["exclude_self"] == "study"
    hopfield = found["network"]["hopfield"]
    assert (hopfield["beta"], hopfield["dropout"], hopfield["association_width"]) == (2.0, 0.0, 64)


def test_an_agent_s_trial_gets_null_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """W&B's agent fills in the macros of the command that ``start`` hands it."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

    path = tmp_path / "s.yaml"
    settings = {"name": "s", "method": "grid", "metric": {"name": "loss", "goal": "minimize"}}
    path.write_text(yaml.safe_dump({**settings, "parameters": {"model.lora": {"values": [None]}}}))
    chosen = {"model.lora": {"value": None}, "model.lr": {"value": 1e-05}, "model.exclude_self": {"value": "study"}}
    (filled,) = create_sweep_command_args({"args": chosen})[ARGUMENTS.removeprefix("${").removesuffix("}")]
    ran: list[list[str]] = []

    def trial(argv: list[str]) -> int:
        ran.append(argv)
        return 1

    monkeypatch.setattr("experiments.training.start.start", trial)
    assert main(["sweep", str(path), "--out", str(tmp_path / "out"), "--trial", "fit", "-c", "x.yaml", filled]) == 1
    assert ran[0][:3] == ["fit", "-c", "x.yaml"]
    assert ran[0][-3:] == ["--model.lora=null", "--model.lr=1e-05", "--model.exclude_self=study"]


def test_bad_sweeps_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no such sweep file; .* memory, stage1, stage2"):
        read_sweep(tmp_path / "no.yaml")
    (tmp_path / "half.yaml").write_text("method: grid\n")
    with pytest.raises(SettingsError, match="lacks metric, name, parameters"):
        read_sweep(tmp_path / "half.yaml")
    whole = {"name": "a", "method": "random", "metric": {"name": "m", "goal": "minimize"}}
    for changed, message in (
        ({"parameters": {"model.lr": {"min": 1}}}, r"model\.lr: needs value, values, or min and max"),
        ({"parameters": ["model.lr"]}, "parameters must map"),
        ({"parameters": {}, "metric": "m"}, "metric must have a name and a goal"),
        ({"parameters": {"model.lr": {"min": 1, "max": 2}}, "method": "grid"}, r"model\.lr: a grid needs"),
    ):
        (tmp_path / "bad.yaml").write_text(yaml.safe_dump({**whole, **changed}))
        with pytest.raises(SettingsError, match=message):
            read_sweep(tmp_path / "bad.yaml")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(SettingsError, match="not YAML"):
        read_sweep(tmp_path / "bad.yaml")
    with pytest.raises(SettingsError, match=r"model.lr: distribution 'beta'"):
        drawn("model.lr", {"distribution": "beta"}, None)  # type: ignore[arg-type]


def test_a_sweep_stops_with_its_trial_and_shows_the_best_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = {"name": "s", "method": "grid", "metric": {"name": "loss", "goal": "minimize"}}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump({**sweep, "parameters": {"model.lr": {"values": [3, 1, 2]}}}))
    words = ["sweep", str(tmp_path / "s.yaml"), "--out", str(tmp_path / "out"), "--dry", "fit"]

    def trial(argv: list[str]) -> int:
        """Its loss is its rate."""
        folder = Path(next(word for word in argv if "default_root_dir" in word).partition("=")[2])
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps({"best": {"loss": float(argv[-1].partition("=")[2])}}))
        return 0

    monkeypatch.setattr("experiments.training.start.start", trial)
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert shown.index("trial1 ") < shown.index("trial2 ") < shown.rindex("trial0 ")
    monkeypatch.setattr("experiments.training.start.start", lambda argv: STOPPED)
    assert main(words) == STOPPED
    assert "trial 2 of 3" not in capsys.readouterr().out
    assert main([*words[:4], "--count=0", *words[4:]]) == 1


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
    assert "`wandb login` first, or use DRY=1" in capsys.readouterr().err
