"""What a checkpoint belongs to: which module, which prepared data, which film size, which code."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_only

import ammrg
from ammrg.errors import CheckpointError


class Provenance(Callback):
    """Notes in every checkpoint what it belongs to, and refuses one of another data set at load.

    ``forced`` (``--force-resume``) goes on all the same, with a warning.
    """

    forced = False

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
        if not kept or kept["data_fingerprint"] == found:
            return
        others = f"the checkpoint was trained on data {kept['data_fingerprint']} ({kept['dataset']}), but the prepared "
        others += f"data have fingerprint {found}"
        if not self.forced:
            raise CheckpointError(
                f"{others}; prepare the same data again or start a new RUN= (--force-resume goes on all the same)"
            )
        rank_zero_only(print)(f"warning: --force-resume: {others}")
