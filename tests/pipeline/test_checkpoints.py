"""Checkpoints: a resumed run ends with the same weights, and errors name a wrong or damaged file."""

from __future__ import annotations

import csv
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch

from ammrg.commands.exit_status import STOPPED
from experiments.__main__ import main
from lightning_modules.disease_classification import DiseaseClassification
from lightning_modules.report_generation import ReportGeneration
from tests.pipeline.nano_run import Run, copy_of_stage1


def test_a_stopped_run_goes_on_to_the_same_weights(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    again = Run(run.root, "stopped")
    with monkeypatch.context() as patch:

        def stop(module: DiseaseClassification) -> None:
            if module.current_epoch == 1:
                raise KeyboardInterrupt

        patch.setattr(DiseaseClassification, "on_train_epoch_start", stop)
        assert again.fit_stage1() == STOPPED  # a script that runs several commands stops at it
    assert (again.stage1 / "last.ckpt").exists()
    assert not (again.stage1 / "manifest.json").exists()
    assert again.fit_stage1() == 0
    resumed, whole = (torch.load(r.stage1 / "last.ckpt", weights_only=True)["state_dict"] for r in (again, run))
    assert resumed.keys() == whole.keys()
    assert not [name for name in whole if not torch.equal(resumed[name].nan_to_num(), whole[name].nan_to_num())]


def test_stopped_stage_2_goes_on_to_the_same_weights(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    again = Run(run.root, "stopped_stage_2")
    shutil.copytree(run.memory, again.memory)
    again.stage1.mkdir()
    shutil.copy(run.stage1 / "best.ckpt", again.stage1 / "best.ckpt")
    with monkeypatch.context() as patch:

        def stop(module: ReportGeneration) -> None:
            if module.current_epoch == 1:
                raise KeyboardInterrupt

        patch.setattr(ReportGeneration, "on_train_epoch_start", stop)
        assert again.fit_stage2() != 0
    assert again.fit_stage2() == 0
    resumed, whole = (torch.load(r.stage2 / "last.ckpt", weights_only=True)["state_dict"] for r in (again, run))
    assert resumed.keys() == whole.keys()
    assert not [name for name in whole if not torch.equal(resumed[name], whole[name])]


def tensors(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Weights and optimizer moments of a checkpoint, by name."""
    kept = torch.load(checkpoint, weights_only=True)
    moments = {
        f"optimizer.{number}.{name}": value
        for number, state in kept["optimizer_states"][0]["state"].items()
        for name, value in state.items()
    }
    return {name: value.nan_to_num() for name, value in {**kept["state_dict"], **moments}.items()}


def rows_of(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["stage1", "stage2"])
def test_resume_within_an_epoch_gives_the_same_checkpoints_and_metrics(
    run: Run, stage: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    again = Run(run.root, f"signalled_{stage}")
    shutil.copytree(run.memory, again.memory)
    if stage == "stage2":
        again.stage1.mkdir()
        shutil.copy(run.stage1 / "best.ckpt", again.stage1 / "best.ckpt")
    fit = again.fit_stage1 if stage == "stage1" else again.fit_stage2
    module = DiseaseClassification if stage == "stage1" else ReportGeneration
    for epoch, batch in ((0, 4), (1, 2), (1, 7)):  # the last is at the step before a validation
        with monkeypatch.context() as patch:

            def fire(self: DiseaseClassification, *_: object, place: tuple[int, int] = (epoch, batch)) -> None:
                if (self.current_epoch, self.trainer.fit_loop.batch_idx) == place:
                    os.kill(os.getpid(), signal.SIGUSR1)

            patch.setattr(module, "on_train_batch_start", fire)
            assert fit() != 0
            signal.signal(signal.SIGINT, signal.default_int_handler)
        assert "SIGUSR1: saving a checkpoint after this step" in capsys.readouterr().out
        assert not (again.folder / stage / "manifest.json").exists()
    assert fit() == 0
    for name in ("last.ckpt", "best.ckpt"):
        resumed, whole = (tensors(each.folder / stage / name) for each in (again, run))
        assert resumed.keys() == whole.keys()
        assert not [key for key in whole if not torch.equal(resumed[key], whole[key])]
    assert rows_of(again.folder / stage) == rows_of(run.folder / stage)
    if stage == "stage1":
        assert (again.stage1 / "scores.json").read_bytes() == (run.stage1 / "scores.json").read_bytes()


@pytest.mark.slow
def test_resume_with_other_settings_or_data_only_where_it_is_forced(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    again = Run(run.root, "forced")
    assert again.fit_stage1("--trainer.max_epochs=1") == 0
    (again.stage1 / "manifest.json").unlink()
    assert again.fit_stage1() == 1
    assert "trainer.max_epochs: 1 (kept) -> 2 (asked)" in capsys.readouterr().err
    again.data = run.root / "data_of_another_seed"
    sizes = "train=64,val=16,test=16"
    words = ["prepare", "--dataset", "phantom", "--out", str(again.data), "--studies", sizes, "--seed", "1"]
    assert main(words) == 0
    assert again.fit_stage1() == 1
    assert "data.folder" in capsys.readouterr().err
    (again.stage1 / "config.yaml").write_text(
        (again.stage1 / "config.yaml").read_text().replace(str(run.data), str(again.data))
    )
    assert again.fit_stage1("--trainer.max_epochs=1") == 1
    assert "the checkpoint was trained on data" in capsys.readouterr().err
    assert again.fit_stage1("--force-resume") == 0
    shown = capsys.readouterr().out
    assert "warning: --force-resume: the checkpoint was trained on data" in shown
    assert "trainer.max_epochs: 1 (kept) -> 2 (asked)" in shown
    assert torch.load(again.stage1 / "last.ckpt", weights_only=True)["global_step"] == 16


def test_a_checkpoint_of_the_other_stage_is_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "-c", f"{run.stage1}/config.yaml", f"--ckpt_path={run.stage2}/best.ckpt"]) == 1
    assert "holds ReportGeneration, but the settings ask for DiseaseClassification" in capsys.readouterr().err
    other = Run(run.root, "other_stage")
    shutil.copytree(run.memory, other.memory)
    other.stage1.mkdir()
    shutil.copy(run.stage2 / "best.ckpt", other.stage1 / "best.ckpt")
    assert other.fit_stage2() == 1
    assert "not DiseaseClassification" in capsys.readouterr().err


def test_a_damaged_checkpoint_is_named(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    broken = run.root / "broken.ckpt"
    broken.write_bytes((run.stage1 / "best.ckpt").read_bytes()[:1000])
    assert main(["predict", "-c", f"{run.stage1}/config.yaml", f"--ckpt_path={broken}"]) == 1
    assert "broken.ckpt: not a whole checkpoint" in capsys.readouterr().err


def test_a_best_checkpoint_that_is_gone_is_named(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    again = copy_of_stage1(run, "best_gone")
    (again.stage1 / "manifest.json").unlink()
    (again.stage1 / "best.ckpt").write_bytes(b"half")
    assert again.fit_stage1() == 1
    assert "best.ckpt: missing or damaged, and no epoch is left" in capsys.readouterr().err


def test_where_no_last_checkpoint_is_whole_settings_still_bind(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    again = copy_of_stage1(run, "all_damaged")
    (again.stage1 / "manifest.json").unlink()
    for path in again.stage1.glob("last*.ckpt"):
        path.write_bytes(path.read_bytes()[:1000])
    assert again.fit_stage1("--model.lr=0.5") == 1
    shown = capsys.readouterr()
    assert "no whole checkpoint is left" in shown.out
    assert "model.lr: 0.001 (kept) -> 0.5 (asked)" in shown.err
