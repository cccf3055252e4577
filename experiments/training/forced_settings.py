"""When ``--force-resume`` takes effect."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from experiments.runs.settings import keep


class ForcedSettings(Callback):
    """The new settings take the place of the kept ones once the training goes on with them, not before: one that cannot
    go on leaves the run as it was.

    Args:
        asked: the resolved settings.
        folder: of the run.
    """

    def __init__(self, asked: Mapping[str, Any], folder: Path) -> None:
        self.asked, self.folder = asked, folder

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The checkpoint is loaded and fits; a finished run is finished no more."""
        (self.folder / "manifest.json").unlink(missing_ok=True)
        keep(self.asked, self.folder, forced=True)
