"""Records in each checkpoint its module, prepared data, film size and code version, and checks them at load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch.distributed.fsdp import FSDPModule

from ammrg import __version__
from ammrg.errors import CheckpointError
from callbacks.forced_log import note_forced


class Provenance(Callback):
    """Records the provenance of each checkpoint, and refuses to load one of other data.

    For a prediction it also refuses a checkpoint of another film size. ``forced`` (``--force-resume``) turns the
    refusal of other data into a warning.
    """

    forced = False

    def __init__(self) -> None:
        self.new_studies = False
        """Whether to predict for data other than the checkpoint's: new studies that are added to a memory."""

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add ``checkpoint["provenance"]``: plain strings and numbers only."""
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        # FSDP gives a sharded module a class of its own.
        own = next(kind for kind in type(pl_module).__mro__ if not issubclass(kind, FSDPModule))
        checkpoint["provenance"] = {
            "module": own.__name__,
            "dataset": datamodule.card["dataset"],
            "data_fingerprint": datamodule.card["fingerprint"],
            "restricted": datamodule.card["restricted"] or getattr(pl_module, "restricted_origin", False),
            "image_size": datamodule.image_size,
            "left_out_fold": None if datamodule.fold is None else list(datamodule.fold),
            "version": __version__,
        }

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Compare the checkpoint's provenance with the data in use.

        Raises:
            CheckpointError: the data or, for a prediction, the film size differ.
        """
        kept = checkpoint.get("provenance", {})
        if not kept:
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        found = data.card["fingerprint"]
        if kept["data_fingerprint"] != found and not self.new_studies:
            others = f"the checkpoint was trained on data {kept['data_fingerprint']} ({kept['dataset']}), but the "
            others += f"prepared data have fingerprint {found}"
            if not self.forced:
                raise CheckpointError(
                    f"{others}; prepare the same data again or start a new RUN= (--force-resume resumes nevertheless; "
                    "predict --new_studies=true makes a memory of new studies, to be merged into the run's)"
                )
            rank_zero_only(note_forced)(Path(trainer.default_root_dir), others)
        if trainer.predicting and kept["image_size"] != data.image_size:
            raise CheckpointError(
                f"the checkpoint was trained on films of {kept['image_size']} pixels, but data.image_size is "
                f"{data.image_size}, for which it was not trained; set it to {kept['image_size']}"
            )
