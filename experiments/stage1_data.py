"""The data that a stage-1 checkpoint was trained on, as it reads them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ammrg.errors import CheckpointError

if TYPE_CHECKING:
    from datamodules.studies import StudyDataModule
    from lightning_modules.stage1_checkpoint import Stage1


def settings_of_stage1(checkpoint: Path) -> dict[str, Any]:
    """The ``config.yaml`` beside a checkpoint.

    Raises:
        CheckpointError: there is none.
    """
    import yaml

    path = checkpoint.parent / "config.yaml"
    if not path.is_file():
        raise CheckpointError(
            f"{path}: not there; it belongs beside the checkpoint and says which films it reads and how regions are "
            "chosen"
        )
    settings: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return settings


def data_of_stage1(stage1: Stage1, checkpoint: Path, folder: str, batch: int) -> StudyDataModule:
    """Films of its size, of the views it was trained on, ``batch`` studies at a time.

    Raises:
        CheckpointError: ``folder`` holds other data than the checkpoint was trained on, or no config.yaml lies beside.
    """
    from datamodules.studies import StudyDataModule

    views = settings_of_stage1(checkpoint)["data"]["init_args"]["views"]
    data = StudyDataModule(folder, image_size=stage1.image_size, eval_batch_size=batch, views=views)
    if data.card["fingerprint"] != stage1.data_fingerprint:
        raise CheckpointError(
            f"{checkpoint} was trained on data {stage1.data_fingerprint}, {folder} has fingerprint "
            f"{data.card['fingerprint']}: name the folder it was trained on"
        )
    return data
