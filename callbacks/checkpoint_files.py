"""Checkpoints as files: written whole or not at all, a stated number kept, and looked at before they are trusted."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins import TorchCheckpointIO

from ammrg.errors import CheckpointError

LAST = "last"


class WholeCheckpoints(TorchCheckpointIO):
    """Writes beside the old file, forces it to the disk, looks at it, and only then takes the old one's name.

    A process that is killed, or a disk that is full, leaves the old checkpoint as it was. Lightning's own also writes
    beside, but holds the whole file in memory first and does not wait for the disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """
        Raises:
            CheckpointError: the disk is full, or the folder cannot be written to.
        """
        target = Path(path)
        # Always the same name: what a kill leaves is large, and the next one takes its place.
        partial = target.with_name(f"{target.name}.partial")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            if not is_whole(partial):
                raise OSError("what was read back is not what was written")
            os.replace(partial, target)
        except (OSError, RuntimeError) as error:  # torch's zip writer turns a full disk into a RuntimeError
            partial.unlink(missing_ok=True)
            folder = next(folder for folder in target.absolute().parents if folder.exists())
            free = shutil.disk_usage(folder).free / 2**20
            raise CheckpointError(
                f"{target}: cannot be written ({error}); {free:,.0f} MiB are free there. Earlier checkpoints are as "
                "they were: make room, or another OUT=, and the same command goes on"
            ) from error


def is_whole(path: Path) -> bool:
    """Whether a checkpoint can be read to its end: torch writes zip archives, each part with its checksum."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, EOFError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def last_names(keep: int) -> list[str]:
    """Names of the last checkpoints, newest first: last.ckpt, last-1.ckpt, ..."""
    return [f"{LAST}.ckpt", *(f"{LAST}-{age}.ckpt" for age in range(1, keep))]


def rotate(folder: Path, fresh: Path, keep: int) -> None:
    """``fresh`` becomes last.ckpt, each kept one is a step older, the oldest goes."""
    names = last_names(keep)
    for older, newer in zip(names[:0:-1], names[-2::-1], strict=True):
        if (folder / newer).exists():
            os.replace(folder / newer, folder / older)
    os.replace(fresh, folder / names[0])


def newest_whole(folder: Path, aside: bool = True) -> Path | None:
    """The newest last checkpoint that can be read; None where there is none.

    Args:
        folder: of the run.
        aside: rename damaged ones to ``<name>.damaged`` and say so (on one process).
    """
    found = [folder / f"{LAST}.ckpt", *sorted(folder.glob(f"{LAST}-[0-9]*.ckpt"), key=age_of)]
    for path in found:
        if not path.exists():
            continue
        if is_whole(path):
            return path
        if aside:
            os.replace(path, path.with_name(f"{path.name}.damaged"))
            print(f"warning: {path} is damaged (cut short, or changed on the disk); set aside as {path.name}.damaged")
    return None


def age_of(path: Path) -> int:
    """The number in last-<age>.ckpt."""
    return int(path.stem.rpartition("-")[2])
