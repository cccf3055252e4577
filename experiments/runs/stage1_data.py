"""The data that a stage-1 checkpoint was trained on, as it reads them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ammrg.errors import CheckpointError

if TYPE_CHECKING:
    from datamodules.studies import StudyDataModule
    from lightning_modules.stage1_checkpoint import Stage1


def kept_setting(checkpoint: Path, *names: str) -> Any:
    """A setting of a stage 1, from the ``config.yaml`` beside its checkpoint.

    Args:
        names: of the setting, from the outermost in.

    Raises:
        CheckpointError: no such file, not a whole one, or one without this setting.
    """
    import yaml

    path, cure = checkpoint.parent / "config.yaml", "copy it from the stage1 folder of the run"
    if not path.is_file():
        raise CheckpointError(f"{path}: not there; it belongs beside the checkpoint: {cure}")
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: not a whole file of settings ({type(error).__name__}); {cure}") from error
    for name in names:
        if not isinstance(found, dict) or name not in found:
            raise CheckpointError(f"{path}: holds no {'.'.join(names)}; {cure}")
        found = found[name]
    return found


def data_of_stage1(stage1: Stage1, checkpoint: Path, folder: str, batch: int) -> StudyDataModule:
    """Films of its size, of the views it was trained on, ``batch`` studies at a time.

    Raises:
        CheckpointError: ``folder`` holds other data than the checkpoint was trained on, or no config.yaml lies beside.
    """
    from datamodules.studies import StudyDataModule

    views = kept_setting(checkpoint, "data", "init_args", "views")
    data = StudyDataModule(folder, image_size=stage1.image_size, eval_batch_size=batch, views=views)
    if data.card["fingerprint"] != stage1.data_fingerprint:
        raise CheckpointError(
            f"{checkpoint} was trained on data {stage1.data_fingerprint}, {folder} has fingerprint "
            f"{data.card['fingerprint']}: name the folder it was trained on"
        )
    return data
