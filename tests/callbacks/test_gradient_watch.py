"""A gradient that is not finite stops the training before it reaches the weights."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import LightningModule
from torch import Tensor
from torch.utils.data import DataLoader

from ammrg.errors import AMMRGError
from callbacks.gradient_watch import GradientWatch
from tests.quiet_trainer import quiet_trainer


class Sum(LightningModule):
    """A loss that becomes NaN for the report of study 5."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))

    def training_step(self, batch: Any, index: int) -> Tensor:
        loss: Tensor = self.weight.square().sum()
        return loss * (float("nan") if "study5" in batch.study_ids else 1.0)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader([SimpleNamespace(study_ids=[f"study{number}"]) for number in range(8)], batch_size=None)  # type: ignore[arg-type]

    def transfer_batch_to_device(self, batch: Any, *_: Any) -> Any:
        return batch


@pytest.mark.parametrize("gathered", [1, 2])
def test_it_stops_with_the_studies_of_the_step_and_the_weights_stay_good(tmp_path: Path, gathered: int) -> None:
    module = Sum()
    trainer = quiet_trainer(tmp_path, max_epochs=1, accumulate_grad_batches=gathered, callbacks=[GradientWatch()])
    with pytest.raises(AMMRGError, match=r"gradient norm of step \d is nan, for studies .*study5") as caught:
        trainer.fit(module)
    assert "no checkpoint was written yet" in str(caught.value)
    facts = json.loads((tmp_path / "not_finite-0.json").read_text())
    assert facts["study_ids"] == (["study5"] if gathered == 1 else ["study4", "study5"])
    assert facts["parameters"] == ["weight"]
    assert module.weight.isfinite().all()
    assert trainer.callback_metrics["train/grad_norm"].isfinite()  # of the previous step
