"""The folder of uploads: each request has one of its own, and nothing outlives its request or its process."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ammrg.errors import SettingsError

LOCK = "lock"


class Scratch:
    """A folder of this process, within one that all services of this user share.

    The process holds a lock on its folder. The system releases it however the process ends, so a folder whose lock is
    free is a leftover, and the next service removes it.

    Args:
        parent: where the shared folder is made; default: the system's folder for temporary files.

    Raises:
        SettingsError: the shared folder belongs to somebody else, or others may read it.
    """

    def __init__(self, parent: Path | None = None) -> None:
        self.shared = (parent or Path(tempfile.gettempdir())) / f"ammrg-serve-{os.getuid()}"
        try:
            self.shared.mkdir(mode=0o700, exist_ok=True)
            found = self.shared.lstat()
        except OSError as error:
            raise SettingsError(f"{self.shared}: cannot be made ({error.strerror}); set TMPDIR") from error
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise SettingsError(
                f"{self.shared}: must be a folder of this user that nobody else may open; remove it, or set TMPDIR"
            )
        starting = os.open(self.shared, os.O_RDONLY)
        try:
            fcntl.flock(starting, fcntl.LOCK_EX)  # one service at a time: a folder without a lock is then a leftover
            self.removed = sum(_removed(folder) for folder in self.shared.iterdir() if folder.is_dir())
            """Number of folders of processes that were killed."""
            self.own = Path(tempfile.mkdtemp(dir=self.shared))
            self._lock = os.open(self.own / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        finally:
            os.close(starting)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Give an empty folder, which is removed at the end with all it holds."""
        path = Path(tempfile.mkdtemp(dir=self.own))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        """Remove the process's folder."""
        shutil.rmtree(self.own, ignore_errors=True)
        os.close(self._lock)


def _removed(folder: Path) -> bool:
    """Remove a folder unless a process holds its lock; tell whether it was removed."""
    with suppress(FileNotFoundError):
        lock = os.open(folder / LOCK, os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(lock)
    shutil.rmtree(folder, ignore_errors=True)
    return True
