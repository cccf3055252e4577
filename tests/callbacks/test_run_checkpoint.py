"""A run stopped anywhere ends with the weights of an uninterrupted one; damaged checkpoints are set aside."""

from __future__ import annotations

import os
import resource
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch import Callback
from torch import Tensor

from ammrg.errors import CheckpointError, SettingsError
from callbacks.averaged_weights import AveragedWeights
from callbacks.checkpoint_files import WholeCheckpoints, is_whole, newest_whole, rotate
from callbacks.run_checkpoint import RunCheckpoint
from callbacks.step_seed import StepSeed
from datamodules.loading import StudyLoader, StudySampler, in_order
from tests.quiet_trainer import quiet_trainer

STUDIES, BATCH = 22, 2  # 11 batches an epoch


class Rows(torch.utils.data.Dataset[Tensor]):
    def __len__(self) -> int:
        return STUDIES

    def __getitem__(self, keys: Any) -> Tensor:
        return torch.tensor([[float(row), float(epoch)] for row, epoch, _ in keys])


class Learner(LightningModule):
    """Has dropout, momentum, a schedule and batch statistics, which an inexact resume would change."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        layers = (torch.nn.Linear(2, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))
        self.network = torch.nn.Sequential(*layers)
        self.seen: list[list[float]] = []

    def training_step(self, batch: Tensor, index: int) -> Tensor:
        self.seen.append(batch[:, 0].tolist())
        loss: Tensor = (self.network(batch / STUDIES) - batch[:, :1].sin()).square().mean()
        return loss

    def validation_step(self, batch: Tensor, index: int) -> None:
        self.log("val/score", -self.network(batch).square().mean())

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.05)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def loader(self) -> StudyLoader:
        sampler = StudySampler(in_order(np.arange(STUDIES)), batch_size=BATCH, whole=False)
        return StudyLoader(Rows(), batch_size=None, sampler=sampler)

    train_dataloader = val_dataloader = loader


class Signal(Callback):
    """Sends this process a signal at a given moment, as a cluster does."""

    def __init__(self, number: int, hook: str, epoch: int, batch: int = 0) -> None:
        self.number, self.place = number, (epoch, batch)
        setattr(self, hook, self.fire)

    def fire(self, trainer: Trainer, module: LightningModule, *words: Any) -> None:
        index = next((word for word in reversed(words) if isinstance(word, int) and word), 0)
        if (trainer.current_epoch, index) == self.place:
            os.kill(os.getpid(), self.number)


def train(folder: Path, *extra: Callback, gather: int = 1, average: bool = True) -> tuple[Learner, Trainer]:
    """Train for three epochs, or the remaining part of them."""
    module, averaged = Learner(), [AveragedWeights(0.9)] if average else []
    trainer = quiet_trainer(
        folder,
        max_epochs=3,
        num_sanity_val_steps=0,
        accumulate_grad_batches=gather,
        enable_checkpointing=True,
        callbacks=[StepSeed(), *averaged, RunCheckpoint("val/score", every_n_steps=3), *extra],
        plugins=[WholeCheckpoints()],
    )
    last = newest_whole(folder)
    trainer.fit(module, ckpt_path=last, weights_only=True)
    return module, trainer


def content(path: Path) -> dict[str, Any]:
    """The parts of a checkpoint that training resumes from."""
    checkpoint: dict[str, Any] = torch.load(path, weights_only=True)
    loops = checkpoint["loops"]["fit_loop"]
    return {
        **{name: checkpoint[name] for name in ("state_dict", "optimizer_states", "lr_schedulers", "global_step")},
        "current": checkpoint.get("current_model_state"),
        "average": checkpoint.get("averaging_state"),
        "loader": loops["state_dict"]["combined_loader"],
    }


def same(one: Any, other: Any) -> bool:
    """Check that two checkpoints are equal bit for bit."""
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folders = {gather: tmp_path_factory.mktemp(f"whole{gather}") for gather in (1, 2)}
    for gather, folder in folders.items():
        train(folder, gather=gather)
    return folders


MOMENTS = [
    (signal.SIGTERM, 1, "on_train_batch_start", 0, 1),
    (signal.SIGUSR1, 1, "on_train_batch_end", 1, 5),
    (signal.SIGINT, 1, "on_before_optimizer_step", 2, 0),
    (signal.SIGTERM, 1, "on_train_batch_end", 0, 10),  # the epoch's last batch
    (signal.SIGUSR1, 1, "on_validation_batch_end", 1, 4),
    (signal.SIGTERM, 1, "on_train_epoch_end", 1, 0),
    (signal.SIGTERM, 2, "on_train_batch_end", 1, 4),  # between two steps
    (signal.SIGUSR1, 2, "on_train_batch_end", 1, 9),
]


@pytest.mark.parametrize(("number", "gather", "hook", "epoch", "batch"), MOMENTS)
def test_a_signalled_run_resumed_ends_bit_for_bit_alike(
    tmp_path: Path, whole: dict[int, Path], gather: int, number: int, hook: str, epoch: int, batch: int
) -> None:
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGUSR1)}
    with pytest.raises(SystemExit):
        train(tmp_path, Signal(number, hook, epoch, batch), gather=gather)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # Lightning ignores Ctrl-C while it stops
    assert {each: signal.getsignal(each) for each in before} == before
    kept = torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"]
    steps = -(-STUDIES // BATCH // gather)
    assert 0 < kept < 3 * steps
    module, trainer = train(tmp_path, gather=gather)
    assert trainer.global_step == 3 * steps
    assert len(module.seen) < 3 * STUDIES // BATCH
    assert same(content(tmp_path / "last.ckpt"), content(whole[gather] / "last.ckpt"))
    assert same(content(tmp_path / "best.ckpt"), content(whole[gather] / "best.ckpt"))


def test_stopped_after_every_batch_it_still_ends_alike(tmp_path: Path, whole: dict[int, Path]) -> None:
    """A run stopped and resumed after every optimizer step."""

    class Impatient(Callback):
        def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Tensor, index: int) -> None:
            if index < STUDIES // BATCH - 1:  # a validation that is always interrupted would never end
                os.kill(os.getpid(), signal.SIGTERM)

    stops = 0
    while stops < 100:
        try:
            train(tmp_path, Impatient())
            break
        except SystemExit:
            stops += 1
    signal.signal(signal.SIGINT, signal.default_int_handler)
    assert stops >= 3 * (STUDIES // BATCH - 1)
    assert same(content(tmp_path / "last.ckpt"), content(whole[1] / "last.ckpt"))


def test_so_many_last_checkpoints_are_kept(whole: dict[int, Path]) -> None:
    assert sorted(path.name for path in whole[1].iterdir()) == ["best.ckpt", "last-1.ckpt", "last.ckpt"]


def test_a_truncated_checkpoint_is_set_aside_and_the_one_before_used(
    tmp_path: Path, whole: dict[int, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        train(tmp_path, Signal(signal.SIGTERM, "on_train_batch_end", 1, 7))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    last = tmp_path / "last.ckpt"
    last.write_bytes(last.read_bytes()[:-200])
    train(tmp_path)
    assert "last.ckpt is damaged" in capsys.readouterr().out
    assert (tmp_path / "last.ckpt.damaged").exists()
    assert same(content(last), content(whole[1] / "last.ckpt"))


def test_one_flipped_bit_is_seen(whole: dict[int, Path], tmp_path: Path) -> None:
    content = bytearray((whole[1] / "last.ckpt").read_bytes())
    path = tmp_path / "last.ckpt"
    path.write_bytes(content)
    assert is_whole(path)
    place = content.index(torch.load(path, weights_only=True)["state_dict"]["network.0.weight"].numpy().tobytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert not is_whole(path)
    assert newest_whole(tmp_path, aside=False) is None
    assert path.exists()


def test_a_kill_between_two_names_loses_nothing(tmp_path: Path, whole: dict[int, Path]) -> None:
    """Killed between the renames: last.ckpt is already last-1.ckpt, but the new file has no name yet."""
    (tmp_path / "last-1.ckpt").write_bytes((whole[1] / "last.ckpt").read_bytes())
    (tmp_path / "last.fresh.ckpt").write_bytes(b"half")
    assert newest_whole(tmp_path) == tmp_path / "last-1.ckpt"


def test_rotation_keeps_the_stated_number(tmp_path: Path) -> None:
    for number in range(5):
        fresh = tmp_path / "fresh"
        fresh.write_text(str(number))
        rotate(tmp_path, fresh, keep=3)
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == {"last.ckpt": "4", "last-1.ckpt": "3", "last-2.ckpt": "2"}


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    """Simulate a full disk: the kernel refuses to write."""
    path = tmp_path / "last.ckpt"
    files = WholeCheckpoints()
    files.save_checkpoint({"weights": torch.zeros(10)}, path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(CheckpointError, match=r"cannot be written .* Earlier checkpoints are unchanged"):
            files.save_checkpoint({"weights": torch.zeros(100_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(torch.load(path, weights_only=True)["weights"]) == 10
    assert [each.name for each in tmp_path.iterdir()] == ["last.ckpt"]


def test_settings_out_of_range_are_named() -> None:
    with pytest.raises(SettingsError, match="every_n_steps"):
        RunCheckpoint("val/score", every_n_steps=0)
    with pytest.raises(SettingsError, match="keep"):
        RunCheckpoint("val/score", keep=0)


def test_the_best_is_known_where_the_folder_was_moved(tmp_path: Path, whole: dict[int, Path]) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(whole[1], moved)
    _, trainer = train(moved)
    best = trainer.checkpoint_callback
    assert best is not None
    assert best.best_model_path == str(moved / "best.ckpt")  # type: ignore[attr-defined]
    assert best.best_model_score is not None  # type: ignore[attr-defined]


def test_a_signal_of_another_process_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    callback = RunCheckpoint("val/score")
    callback.process = -1  # a loader process, which inherited the handler
    callback.on_signal(signal.SIGINT, None)
    callback.on_signal(signal.SIGINT, None)
    assert (capsys.readouterr().out, callback.signalled) == ("", None)
