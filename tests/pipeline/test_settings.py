"""Settings that do not fit a run, or belong to another, are refused by name."""

from __future__ import annotations

import json
import os

import pytest
import yaml

from experiments.__main__ import main
from experiments.runs.lock import locked
from tests.pipeline.nano_run import CONFIGS, Run, copy_of_stage1


def test_a_finished_run_is_left_alone(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run.stage1 / "best.ckpt").stat().st_mtime_ns
    assert run.fit_stage1() == 0
    assert "is finished" in capsys.readouterr().out
    assert (run.stage1 / "best.ckpt").stat().st_mtime_ns == before


def test_changed_settings_are_refused_by_name(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.fit_stage1("--model.lr=0.5") == 1
    assert "model.lr: 0.001 (kept) -> 0.5 (asked)" in capsys.readouterr().err
    assert yaml.safe_load((run.stage1 / "config.yaml").read_text())["model"]["init_args"]["lr"] == 1e-3


def test_changed_memory_settings_are_refused_by_name(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run.memory / "reports.json").read_bytes()
    assert run.encode_reports() == 0
    words = [*run.configs("memory"), f"--model.text_encoder={run.llm}", "--model.max_tokens=7"]
    assert main(["predict", *words]) == 1
    assert "model.max_tokens: 256 (kept) -> 7 (asked)" in capsys.readouterr().err
    assert (run.memory / "reports.json").read_bytes() == before


def test_settings_of_a_call_that_trained_nothing_do_not_bind(run: Run) -> None:
    again = Run(run.root, "corrected")
    assert again.fit_stage1("--trainer.precision=bf16-true") == 1
    assert (again.stage1 / "config.yaml").exists()
    assert again.fit_stage1("--trainer.max_epochs=1") == 0


def test_a_force_that_cannot_go_on_changes_nothing(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    again = copy_of_stage1(run, "not_forced")
    kept = {path.name: path.read_bytes() for path in again.stage1.glob("*.*") if path.suffix in (".yaml", ".json")}
    assert again.fit_stage1("--model.qformer.layers=2", "--force-resume") == 1
    assert "do not fit the network of these settings" in capsys.readouterr().err
    assert again.fit_stage1("--trainer.precision=bf16-true", "--force-resume") == 1
    assert kept == {name: (again.stage1 / name).read_bytes() for name in kept}
    assert again.fit_stage1() == 0
    assert "is finished" in capsys.readouterr().out


def test_a_second_training_in_a_folder_is_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    again = Run(run.root, "busy")
    with locked(again.stage1):
        assert again.fit_stage1() == 1
    assert f"another process trains here (process {os.getpid()} on" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["data.batch_size", "data.micro_batch_size"])
def test_what_a_constructor_refuses_is_one_clear_error(run: Run, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert Run(run.root, "refused").fit_stage1(f"--{key}=0") == 1
    said = capsys.readouterr().err
    assert f"error: {key} (0)" in said
    assert "Traceback" not in said


def test_data_prepared_anew_are_not_those_of_a_finished_run(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    card = run.data / "card.json"
    before = card.read_text()
    other = Run(run.root, "other_data")
    other.stage1, other.memory = run.stage1, run.memory
    try:
        card.write_text(json.dumps({**json.loads(before), "fingerprint": "f" * 16}))
        assert run.fit_stage1() == 1
        assert f"holds data {'f' * 16} now" in capsys.readouterr().err
        assert other.fit_stage2() == 1
        assert "train stage 1 on the prepared data, or prepare the checkpoint's data again" in capsys.readouterr().err
    finally:
        card.write_text(before)


def test_sharding_where_it_cannot_be_is_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    sharded = ["-c", str(CONFIGS / "stage1" / "sharded.yaml")]
    averaged = "--trainer.callbacks+=callbacks.averaged_weights.AveragedWeights"
    assert Run(run.root, "sharded").fit_stage1(*sharded, "--trainer.precision=16-mixed") == 1
    assert "sharded training takes 32-true" in capsys.readouterr().err
    assert Run(run.root, "sharded").fit_stage1(*sharded, averaged) == 1
    assert "which sharded training cannot make" in capsys.readouterr().err
    again = Run(run.root, "sharded")
    again.stage1, again.memory = run.stage1, run.memory
    assert again.fit_stage2(*sharded) == 1
    assert "shards stage 1 alone" in capsys.readouterr().err


def test_weights_that_are_trained_are_held_in_float32(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert Run(run.root, "bf16").fit_stage2("--trainer.precision=bf16-true", *run.parts()) == 1
    assert "trainer.precision bf16-true: trained weights must be float32" in capsys.readouterr().err


def test_a_training_that_stops_early_says_why(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    stop = "--trainer.callbacks"
    patience = [f"{stop}+=EarlyStopping", f"{stop}.monitor=val/loss", f"{stop}.patience=1", f"{stop}.min_delta=9"]
    assert Run(run.root, "impatient").fit_stage1("--trainer.max_epochs=5", *patience) == 0
    said = capsys.readouterr().out
    assert "stopped after 2 of 5 epochs: val/loss did not get better in the last 1 (best 0." in said
