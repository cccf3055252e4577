"""The folder that a command writes into: it can be written, and no other process writes into it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ammrg.errors import SettingsError


@contextlib.contextmanager
def output_folder(folder: Path) -> Iterator[None]:
    """Hold a folder for this process; what does not exist of it is made, and removed again where it stays empty.

    Raises:
        SettingsError: it is a file, cannot be written, or another process holds it.
    """
    file = next((place for place in (folder, *folder.parents) if place.is_file()), None)
    if file is not None:
        raise SettingsError(f"--out {folder}: {file} is a file; name another folder")
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            place = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise SettingsError(f"--out {folder}: cannot be written ({error.strerror}); name another folder") from error
    try:
        _lock(place, folder)
        yield
    finally:
        os.close(place)
        with contextlib.suppress(OSError):  # one is not empty
            for each in new:
                each.rmdir()


def _lock(place: int, folder: Path) -> None:
    """Lock an open folder. The lock leaves no file, and ends with the process however that ends."""
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SettingsError(
            f"--out {folder}: another process writes into it; wait until that has ended, or name another folder"
        ) from None
    except OSError:
        pass  # a network's file system without locks
