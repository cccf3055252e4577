"""Real films with drawn signs on them."""

from __future__ import annotations

from typing import Any

from datamodules.studies import StudyDataModule


class PaintedDataModule(StudyDataModule):
    """Batches of painted films (``make data DATASET=painted RAW=data/iu_xray``)."""

    dataset = "painted"

    def __init__(self, folder: str = "data/painted", **kwargs: Any) -> None:
        """Open the prepared data set.

        Args:
            folder: folder of the prepared shards and their card.
            kwargs: see :class:`datamodules.studies.StudyDataModule`.
        """
        super().__init__(folder, **kwargs)
