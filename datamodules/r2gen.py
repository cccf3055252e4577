"""Any data set that comes as an R2Gen annotation.json with its films."""

from __future__ import annotations

from typing import Any

from datamodules.studies import StudyDataModule


class R2GenDataModule(StudyDataModule):
    """Batches of an annotated data set (``make data DATASET=r2gen RAW=...``)."""

    dataset = "r2gen"

    def __init__(self, folder: str = "data/r2gen", **kwargs: Any) -> None:
        """Open the prepared data set.

        Args:
            folder: folder of the prepared shards and their card.
            kwargs: see :class:`datamodules.studies.StudyDataModule`.
        """
        super().__init__(folder, **kwargs)
