"""The data that a stage-1 checkpoint was trained on, as it reads them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ammrg.errors import CheckpointError

if TYPE_CHECKING:
    from datamodules.studies import StudyDataModule
    from lightning_modules.stage1_checkpoint import Stage1


def data_of_stage1(
    stage1: Stage1, checkpoint: Path, folder: str, batch: int, views: Literal["all", "frontal"] = "all"
) -> StudyDataModule:
    """Films of its size, ``batch`` studies at a time.

    Raises:
        CheckpointError: ``folder`` holds other data than the checkpoint was trained on.
    """
    from datamodules.studies import StudyDataModule

    data = StudyDataModule(folder, image_size=stage1.image_size, eval_batch_size=batch, views=views)
    if data.card["fingerprint"] != stage1.data_fingerprint:
        raise CheckpointError(
            f"{checkpoint} was trained on data {stage1.data_fingerprint}, {folder} has fingerprint "
            f"{data.card['fingerprint']}: name the folder it was trained on"
        )
    return data
