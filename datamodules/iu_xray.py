"""IU X-Ray (Open-I): somewhat more than 3,000 studies with a findings section, frontal and lateral films."""

from __future__ import annotations

from typing import Any

from datamodules.studies import StudyDataModule


class IUXRayDataModule(StudyDataModule):
    """Batches of IU X-Ray (``make data DATASET=iu_xray RAW=...``)."""

    dataset = "iu_xray"

    def __init__(self, folder: str = "data/iu_xray", **kwargs: Any) -> None:
        """Open the prepared data set.

        Args:
            folder: folder of the prepared shards and their card.
            kwargs: see :class:`datamodules.studies.StudyDataModule`.
        """
        super().__init__(folder, **kwargs)
