"""The phantom: drawn films with known findings and boxes."""

from __future__ import annotations

from typing import Any

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
