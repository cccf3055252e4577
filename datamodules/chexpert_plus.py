"""CheXpert Plus: some 187,000 studies of 64,000 patients, about a third with a findings section."""

from __future__ import annotations

from typing import Any

from datamodules.studies import StudyDataModule


class CheXpertPlusDataModule(StudyDataModule):
    """Batches of CheXpert Plus (``make data DATASET=chexpert_plus RAW=...``)."""

    dataset = "chexpert_plus"

    def __init__(self, folder: str = "data/chexpert_plus", **kwargs: Any) -> None:
        """Open the prepared data set.

        Args:
            folder: folder of the prepared shards and their card.
            kwargs: see :class:`datamodules.studies.StudyDataModule`.
        """
        super().__init__(folder, **kwargs)
