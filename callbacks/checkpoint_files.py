"""Checkpoint files: written whole or not at all, limited in number, and checked before they are used."""

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
    """Writes a checkpoint to a temporary file, flushes it to the disk, checks it, and then replaces the old one.

    If the process is killed or the disk is full, the old checkpoint is unchanged. Lightning's own plugin also writes to
    a temporary file, but builds the whole file in memory first and does not wait for the disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint whole or not at all.

        Raises:
            CheckpointError: the disk is full, or the folder cannot be written to.
        """
        target = Path(path)
        # Always the same name: a killed process leaves a large file, which the next save overwrites.
        partial = target.with_name(f"{target.name}.partial")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            if not is_whole(partial):
                raise OSError("the file read back differs from what was written")
            os.replace(partial, target)
        except (OSError, RuntimeError) as error:  # torch's zip writer turns a full disk into a RuntimeError
            partial.unlink(missing_ok=True)
            folder = next(folder for folder in target.absolute().parents if folder.exists())
            free = shutil.disk_usage(folder).free / 2**20
            raise CheckpointError(
                f"{target}: cannot be written ({error}); {free:,.0f} MiB are free there. Earlier checkpoints are "
                "unchanged: free some space, or set another OUT=, and the same command resumes"
            ) from error


def is_whole(path: Path) -> bool:
    """Whether a checkpoint can be read to its end; torch writes a zip archive in which each part has a checksum."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, EOFError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def last_names(keep: int) -> list[str]:
    """File names of the last ``keep`` checkpoints, newest first: last.ckpt, last-1.ckpt, ..."""
    return [f"{LAST}.ckpt", *(f"{LAST}-{age}.ckpt" for age in range(1, keep))]


def rotate(folder: Path, fresh: Path, keep: int) -> None:
    """Rename ``fresh`` to last.ckpt and each earlier one to the next number; the oldest is overwritten."""
    names = last_names(keep)
    for older, newer in zip(names[:0:-1], names[-2::-1], strict=True):
        if (folder / newer).exists():
            os.replace(folder / newer, folder / older)
    os.replace(fresh, folder / names[0])


def newest_whole(folder: Path, aside: bool = True) -> Path | None:
    """The newest last checkpoint that can be read; None if there is none.

    Args:
        folder: the run's folder.
        aside: rename damaged checkpoints to ``<name>.damaged`` and print a warning; True in one process only.
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
    """The number in the file name last-<age>.ckpt."""
    return int(path.stem.rpartition("-")[2])
