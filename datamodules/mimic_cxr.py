"""MIMIC-CXR: 227,835 studies of 65,379 patients, with the films of MIMIC-CXR-JPG."""

from __future__ import annotations

from typing import Any

from datamodules.studies import StudyDataModule


class MIMICCXRDataModule(StudyDataModule):
    """Batches of MIMIC-CXR (``make data DATASET=mimic_cxr RAW=...``)."""

    dataset = "mimic_cxr"

    def __init__(self, folder: str = "data/mimic_cxr", **kwargs: Any) -> None:
        """Open the prepared data set.

        Args:
            folder: folder of the prepared shards and their card.
            kwargs: see :class:`datamodules.studies.StudyDataModule`.
        """
        super().__init__(folder, **kwargs)
