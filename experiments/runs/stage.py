"""``Stage``: one stage of a run, the files in its folder, and whether it is finished."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ammrg.errors import CheckpointError
from ammrg.missing_file import advice

if TYPE_CHECKING:
    from datamodules.studies import StudyDataModule
    from lightning_modules.stage1_checkpoint import Stage1


@dataclass(frozen=True)
class Stage:
    """The folder of a stage.

    ``config.yaml`` is there from the start, ``best.ckpt`` and ``last.ckpt`` after the first epoch, ``manifest.json`` at
    the end.
    """

    folder: Path

    @property
    def checkpoint(self) -> Path:
        """Path of the best checkpoint, which may not exist yet."""
        return self.folder / "best.ckpt"

    @property
    def finished(self) -> bool:
        """Whether the training has ended; the manifest is written last."""
        return (self.folder / "manifest.json").is_file()

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The content of ``manifest.json``; empty until the stage is finished."""
        return read_json(self.folder / "manifest.json")

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The resolved settings in ``config.yaml``.

        Raises:
            CheckpointError: the file does not exist, or is not YAML.
        """
        import yaml

        path = self.folder / "config.yaml"
        remedy = f"copy it from the {self.folder.name} folder of the run"
        if not self.folder.is_dir():
            raise CheckpointError(f"{path}: {advice(path)}")
        if not path.is_file():
            raise CheckpointError(f"{path}: no such file; it belongs beside the checkpoint: {remedy}")
        try:
            found = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise CheckpointError(
                f"{path}: damaged, not a YAML file of settings ({type(error).__name__}); {remedy}"
            ) from error
        return found if isinstance(found, dict) else {}

    def setting(self, *names: str) -> Any:
        """One of the settings.

        Args:
            names: the names that lead to it, from the outermost in.

        Raises:
            CheckpointError: the settings do not have it.
        """
        found: Any = self.settings
        for name in names:
            if not isinstance(found, dict) or name not in found:
                raise CheckpointError(
                    f"{self.folder / 'config.yaml'}: holds no {'.'.join(names)}; copy it from the "
                    f"{self.folder.name} folder of the run"
                )
            found = found[name]
        return found

    @property
    def epoch(self) -> str:
        """The epoch of the last row of ``metrics.csv``; empty if there is none."""
        path = self.folder / "metrics.csv"
        lines = path.read_text().splitlines() if path.is_file() else []
        rows = list(csv.DictReader(lines))
        return str(rows[-1].get("epoch") or "") if rows else ""


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; empty if the file does not exist or is broken."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return dict(found) if isinstance(found, dict) else {}


def data_of_stage1(stage1: Stage1, checkpoint: Path, folder: str, batch: int) -> StudyDataModule:
    """The data that a stage 1 was trained on, with its film size and views.

    Args:
        stage1: the stage 1.
        checkpoint: where it was read from; ``config.yaml`` is beside it.
        folder: prepared data.
        batch: studies of a batch.

    Raises:
        CheckpointError: the stage 1 was trained on other data, or there is no ``config.yaml``.
    """
    from datamodules.studies import StudyDataModule

    views = Stage(checkpoint.parent).setting("data", "init_args", "views")
    data = StudyDataModule(folder, image_size=stage1.image_size, eval_batch_size=batch, views=views)
    if data.card["fingerprint"] != stage1.data_fingerprint:
        raise CheckpointError(
            f"{checkpoint} was trained on data {stage1.data_fingerprint}, but {folder} holds data "
            f"{data.card['fingerprint']}: name the folder it was trained on"
        )
    return data
