"""The average of the weights against its formula, in checkpoints, in validation, and after a resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from ammrg.errors import SettingsError
from callbacks.averaged_weights import AveragedWeights
from tests.quiet_trainer import quiet_trainer


class Walk(LightningModule):
    """Fits one weight to numbers; validation records it and chooses a threshold from it, as stage 1 does."""

    threshold: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([5.0]))
        self.register_buffer("threshold", torch.tensor(torch.nan))
        self.register_buffer("flag", torch.tensor(False))
        self.path: list[float] = []
        self.validated: list[float] = []

    def training_step(self, batch: Tensor, index: int) -> Tensor:
        return (self.weight - batch).square().mean()

    def on_train_batch_end(self, *_: Any) -> None:
        self.path.append(self.weight.item())

    def validation_step(self, batch: Tensor, index: int) -> None:
        pass

    def test_step(self, batch: Tensor, index: int) -> None:
        pass

    def on_validation_epoch_end(self) -> None:
        self.validated.append(self.weight.item())
        self.threshold.fill_(self.weight.item() * 2)
        self.flag.fill_(True)

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters(), lr=0.3)


class Keeper(Callback):
    """Saves every epoch as RunCheckpoint does: after validation, at the end of the training epoch."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.save_checkpoint(Path(trainer.default_root_dir) / "last.ckpt")


def run(folder: Path, epochs: int, decay: float = 0.6, resume: bool = False) -> tuple[Walk, Trainer]:
    torch.manual_seed(0)
    module = Walk()
    numbers = DataLoader(torch.randn(12), batch_size=4)  # type: ignore[arg-type]
    trainer = quiet_trainer(
        folder, max_epochs=epochs, num_sanity_val_steps=0, callbacks=[AveragedWeights(decay), Keeper()]
    )
    trainer.fit(module, numbers, numbers, ckpt_path=str(folder / "last.ckpt") if resume else None, weights_only=True)
    return module, trainer


def by_hand(path: list[float], decay: float) -> list[float]:
    """The average after each step; it starts as the first step's weights."""
    average, found = path[0], [path[0]]
    for n, value in enumerate(path[1:], start=1):
        d = min(decay, (1 + n) / (10 + n))
        average = d * average + (1 - d) * value
        found.append(average)
    return found


def test_the_average_is_validated_saved_and_left_in_the_module(tmp_path: Path) -> None:
    module, _ = run(tmp_path, epochs=4)
    averages = by_hand(module.path, 0.6)
    assert len(module.path) == 12
    assert module.validated == pytest.approx(averages[2::3], rel=1e-5)
    assert module.path[3] != pytest.approx(averages[3], rel=1e-3)
    assert module.weight.item() == pytest.approx(averages[-1], rel=1e-5)
    kept = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert kept["state_dict"]["weight"].item() == pytest.approx(averages[-1], rel=1e-5)
    assert kept["current_model_state"]["weight"].item() == pytest.approx(module.path[-1], rel=1e-5)
    # the value chosen in validation belongs to the average, even if it was NaN before
    assert kept["state_dict"]["threshold"].item() == pytest.approx(2 * averages[-1], rel=1e-5)
    assert kept["state_dict"]["flag"].item() is True


def test_a_stopped_run_goes_on_exactly(tmp_path: Path) -> None:
    whole, _ = run(tmp_path / "whole", epochs=4)
    run(tmp_path / "parts", epochs=2)
    resumed, _ = run(tmp_path / "parts", epochs=4, resume=True)
    assert resumed.path == whole.path[6:]
    assert resumed.validated == whole.validated[2:]
    one, two = (torch.load(tmp_path / name / "last.ckpt", weights_only=True) for name in ("whole", "parts"))
    for part in ("state_dict", "current_model_state"):
        for name, tensor in one[part].items():
            assert torch.equal(tensor.nan_to_num(), two[part][name].nan_to_num()), (part, name)


def test_testing_a_checkpoint_after_training_keeps_the_average(tmp_path: Path) -> None:
    """Lightning's own callback would load the weights of the last step here."""
    module, trainer = run(tmp_path, epochs=2)
    average = module.weight.item()
    loader = DataLoader(torch.randn(4), batch_size=4)  # type: ignore[arg-type]
    trainer.test(module, loader, ckpt_path=str(tmp_path / "last.ckpt"), weights_only=True, verbose=False)
    assert module.weight.item() == average
    trainer.validate(module, loader, verbose=False)
    assert module.validated[-1] == average


def test_a_slow_average_of_a_short_run_is_not_its_start(tmp_path: Path) -> None:
    module, _ = run(tmp_path, epochs=4, decay=0.9999)
    assert module.weight.item() == pytest.approx(by_hand(module.path, 0.9999)[-1], rel=1e-5)
    assert abs(module.weight.item() - module.path[-1]) < 0.5 * abs(5.0 - module.path[-1])


def test_decay_out_of_range() -> None:
    with pytest.raises(SettingsError, match=r"decay: found 1\.0"):
        AveragedWeights(1.0)
