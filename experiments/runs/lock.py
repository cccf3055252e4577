"""One training a folder: two would write each other's checkpoints away."""

from __future__ import annotations

import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ammrg.errors import SettingsError

LOCK = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``folder/.lock``; the system lets it go with the process, however that ends.

    Raises:
        SettingsError: another process holds it; the message says which.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            who = file.read().strip() or "it does not say which"
            raise SettingsError(
                f"{folder}: another process trains here ({who}); wait for it, stop it, or choose another RUN="
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}\n")
        file.flush()
        yield
