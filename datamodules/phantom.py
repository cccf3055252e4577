"""The phantom: drawn films with known findings and boxes."""

from __future__ import annotations

from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from datamodules.sources.phantom import VERSION
from datamodules.studies import StudyDataModule


class PhantomDataModule(StudyDataModule):
    """Batches of the phantom (``make data DATASET=phantom``)."""

    dataset = "phantom"

    def __init__(self, folder: str = "data/phantom", **kwargs: Any) -> None:
        """Open the prepared data set.

        Args:
            folder: folder of the prepared shards and their card.
            kwargs: see :class:`datamodules.studies.StudyDataModule`.
        """
        super().__init__(folder, **kwargs)

    def setup(self, stage: str | None = None) -> None:
        """Check the folder, and say before a training where it holds an earlier phantom than is drawn today."""
        super().setup(stage)
        version = int(self.card.get("settings", {}).get("version", 1))
        if stage == "fit" and version != VERSION:
            rank_zero_only(print)(
                f"{self.prepared.location} holds version {version} of the phantom; version {VERSION}, where every sign "
                "has a side and a level, is prepared into another folder (make ... DATA=FOLDER)"
            )
