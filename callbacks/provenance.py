"""What a checkpoint belongs to: which module, which prepared data, which film size, which code."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

import ammrg
from ammrg.errors import CheckpointError


class Provenance(Callback):
    """Notes in every checkpoint what it belongs to, and refuses one of another data set at load."""

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add ``checkpoint["provenance"]``: plain strings and numbers only."""
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        checkpoint["provenance"] = {
            "module": type(pl_module).__name__,
            "dataset": datamodule.card["dataset"],
            "data_fingerprint": datamodule.card["fingerprint"],
            "restricted": datamodule.card["restricted"],
            "image_size": datamodule.image_size,
            "version": ammrg.__version__,
        }

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Compare with the data at hand."""
        kept = checkpoint.get("provenance", {})
        found = trainer.datamodule.card["fingerprint"]  # type: ignore[attr-defined]
        if kept and kept["data_fingerprint"] != found:
            raise CheckpointError(
                f"the checkpoint was trained on data {kept['data_fingerprint']} ({kept['dataset']}), but the prepared "
                f"data have fingerprint {found}; prepare the same data again or start a new RUN="
            )
