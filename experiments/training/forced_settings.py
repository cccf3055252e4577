"""A callback that applies the new settings of ``--force-resume`` once the training continues."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from experiments.runs.settings import keep


class ForcedSettings(Callback):
    """Replace the kept settings when the training continues with the new ones, and not before.

    If the training cannot continue with them, the run stays as it was.

    Args:
        requested: the new settings, resolved.
        folder: of the stage.
    """

    def __init__(self, requested: Mapping[str, Any], folder: Path) -> None:
        self.requested, self.folder = requested, folder

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Replace the settings, now that the checkpoint is loaded; a finished stage becomes unfinished."""
        (self.folder / "manifest.json").unlink(missing_ok=True)
        keep(self.requested, self.folder, forced=True)
