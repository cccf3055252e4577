"""Loading resumed in the middle of an epoch goes on with the studies that come next."""

from __future__ import annotations

import json
import random
from pathlib import Path

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from ammrg.errors import CheckpointError
from datamodules.studies import StudyDataModule
from tests.datamodules.loading.recorder import Recorder
from tests.datamodules.loading.small_folder import batches, module, same


@pytest.mark.parametrize("streamed", [False, True])
def test_two_ranks_resumed_at_a_random_step_go_on_as_if_never_stopped(folder, streamed):
    draw = random.Random(3)
    for rank in (0, 1):
        whole = module(folder, rank, 2, num_workers=2, streamed=streamed).train_dataloader()
        epochs = [list(whole) for _ in range(3)]
        epoch, step = draw.randrange(2), draw.randrange(1, len(whole))
        interrupted = module(folder, rank, 2, num_workers=2, streamed=streamed).train_dataloader()
        interrupted.sampler.set_epoch(epoch)
        stopped = iter(interrupted)
        for _ in range(step):  # workers have fetched more than this
            next(stopped)
        state = json.loads(json.dumps(interrupted.state_dict()))
        assert (state["epoch"], state["batches"]) == (epoch, step)
        resumed = module(folder, rank, 2, num_workers=2, streamed=streamed).train_dataloader()
        resumed.load_state_dict(state)
        assert resumed.state_dict() == state
        assert len(resumed) == len(whole)
        rest, following = list(resumed), list(resumed)
        assert all(map(same, rest, epochs[epoch][step:]))
        assert len(rest) == len(whole) - step
        assert all(map(same, following, epochs[epoch + 1]))


def test_a_state_taken_after_the_last_batch_goes_on_with_the_next_epoch(folder):
    whole = module(folder).train_dataloader()
    _, second = batches(whole), batches(whole)
    resumed = module(folder).train_dataloader()
    resumed.load_state_dict({**whole.state_dict(), "epoch": 0, "batches": len(whole)})
    assert batches(resumed) == second


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"batch_size": 8}, r"data\.batch_size: 4 \(checkpoint\) -> 8 \(now\)"),
        ({"seed": 6}, r"seed: 5 \(checkpoint\) -> 6"),
        ({"world": 2}, r"processes: 1 \(checkpoint\) -> 2"),
        ({"streamed": True}, r"data\.streamed: False"),
        ({"repeat_threshold": 0.5}, r"data\.repeat_threshold: 0\.0"),
    ],
)
def test_a_place_among_other_batches_is_refused_by_name(folder, options, named):
    loader = module(folder).train_dataloader()
    next(iter(loader))
    other = module(folder, **options).train_dataloader()
    with pytest.raises(CheckpointError, match=named):
        other.load_state_dict(loader.state_dict())


def test_a_place_that_is_none_is_refused(folder):
    loader = module(folder).train_dataloader()
    made_of = loader.state_dict()["made_of"]
    for broken in (
        {},
        {"epoch": 0, "batches": 999, "made_of": made_of},
        {"epoch": -1, "batches": 0, "made_of": made_of},
    ):
        with pytest.raises(CheckpointError):
            loader.load_state_dict(broken)


def fit(model: Recorder, data: str, folder: Path, every: int, workers: int, streamed: bool, **options: object) -> bool:
    """Train for three epochs of 38 steps with regular checkpoints; True if it was interrupted."""
    keeper = ModelCheckpoint(folder, filename="at", every_n_train_steps=every, enable_version_counter=False)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    trainer = lightning.Trainer(max_epochs=3, accelerator="cpu", callbacks=[keeper], **quiet)
    studies = StudyDataModule(data, image_size=32, batch_size=4, num_workers=workers, streamed=streamed)
    try:
        trainer.fit(model, datamodule=studies, **options)
    except SystemExit:
        return True
    return trainer.interrupted


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("every", "stop"), [(7, 47), (38, 40)])
def test_the_trainer_goes_on_in_the_middle_of_an_epoch(folder, tmp_path, workers, streamed, every, stop):
    """The checkpoint is saved at step 42, in the second epoch, or exactly at the end of the first."""
    whole, stopped, resumed = Recorder(), Recorder(stop), Recorder()
    assert not fit(whole, folder, tmp_path / "whole", every, workers, streamed)
    assert len(whole.steps) == 3 * 38
    assert fit(stopped, folder, tmp_path / "stopped", every, workers, streamed)
    kept = str(tmp_path / "stopped" / "at.ckpt")
    assert not fit(resumed, folder, tmp_path / "resumed", every, workers, streamed, ckpt_path=kept, weights_only=True)
    done = stop // every * every
    assert whole.steps[:done] == stopped.steps[:done]
    assert resumed.steps == whole.steps[done:]
    assert torch.equal(whole.weight, resumed.weight)
