"""One stage of a run: the files in its folder, and whether it is finished."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ammrg.errors import CheckpointError

if TYPE_CHECKING:
    from datamodules.studies import StudyDataModule
    from lightning_modules.stage1_checkpoint import Stage1


@dataclass(frozen=True)
class Stage:
    """The folder of a stage: ``config.yaml`` from its begin, ``best.ckpt`` and ``last.ckpt`` from its first epoch,
    ``manifest.json`` from its end."""

    folder: Path

    @property
    def checkpoint(self) -> Path:
        """The best checkpoint; there or not."""
        return self.folder / "best.ckpt"

    @property
    def finished(self) -> bool:
        """Whether the training ended: its manifest is written last."""
        return (self.folder / "manifest.json").is_file()

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What the stage was made with; empty while it is not finished."""
        return read_json(self.folder / "manifest.json")

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The resolved settings, as ``config.yaml`` keeps them.

        Raises:
            CheckpointError: no such file, or not a whole one.
        """
        import yaml

        path = self.folder / "config.yaml"
        cure = f"copy it from the {self.folder.name} folder of the run"
        if not path.is_file():
            raise CheckpointError(f"{path}: not there; it belongs beside the checkpoint: {cure}")
        try:
            found = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{path}: not a whole file of settings ({type(error).__name__}); {cure}") from error
        return found if isinstance(found, dict) else {}

    def setting(self, *names: str) -> Any:
        """One of the settings.

        Args:
            names: of the setting, from the outermost in.

        Raises:
            CheckpointError: it is not there.
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
        """The epoch of the last row of ``metrics.csv``; empty where there is none."""
        path = self.folder / "metrics.csv"
        lines = path.read_text().splitlines() if path.is_file() else []
        rows = list(csv.DictReader(lines))
        return str(rows[-1].get("epoch") or "") if rows else ""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is no such file, or it is broken."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return dict(found) if isinstance(found, dict) else {}


def data_of_stage1(stage1: Stage1, checkpoint: Path, folder: str, batch: int) -> StudyDataModule:
    """The data a stage 1 was trained on, as it reads them: films of its size, of the views it was trained on.

    Args:
        stage1: read from ``checkpoint``, whose ``config.yaml`` lies beside it.
        folder: prepared data.
        batch: studies at a time.

    Raises:
        CheckpointError: ``folder`` holds other data than it was trained on, or no config.yaml lies beside.
    """
    from datamodules.studies import StudyDataModule

    views = Stage(checkpoint.parent).setting("data", "init_args", "views")
    data = StudyDataModule(folder, image_size=stage1.image_size, eval_batch_size=batch, views=views)
    if data.card["fingerprint"] != stage1.data_fingerprint:
        raise CheckpointError(
            f"{checkpoint} was trained on data {stage1.data_fingerprint}, {folder} has fingerprint "
            f"{data.card['fingerprint']}: name the folder it was trained on"
        )
    return data
