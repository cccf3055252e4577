"""A network that learns nothing and notes which studies it was shown."""

from __future__ import annotations

import lightning
import torch

from ammrg.types import StudyBatch


class Recorder(lightning.LightningModule):
    """Records the study ids of each step."""

    def __init__(self, stop_after: int | None = None) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.steps: list[tuple[int, list[str]]] = []
        self.stop_after = stop_after

    def training_step(self, batch: StudyBatch, index: int) -> torch.Tensor:
        if len(self.steps) == self.stop_after:
            raise KeyboardInterrupt
        self.steps.append((self.current_epoch, batch.study_ids))
        return self.weight * batch.images.float().mean()

    def validation_step(self, batch: StudyBatch, index: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)
