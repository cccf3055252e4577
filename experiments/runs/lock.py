"""One process a folder: two that write the same files would destroy each other's work.

Ours, not the package filelock (4.3.1). That takes the same ``flock`` but does not say who holds it: the note, its
reading and the sentence would stay here, and nothing would get shorter. On a file system without ``flock`` it puts a
marker file in its place, which outlives a killed process; here that is an error.
"""

from __future__ import annotations

import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ammrg.errors import AMMRGError, SettingsError

LOCK = ".lock"


@contextmanager
def locked(
    folder: Path,
    work: str = "trains",
    advice: str = "wait for it, stop it, or choose another RUN=",
    error: type[AMMRGError] = SettingsError,
) -> Iterator[None]:
    """Hold ``folder/.lock``, which notes who holds it; the system lets it go with the process, however that ends.

    Args:
        folder: made if it is not there.
        work: what a process does there, for the message to a second one.
        advice: what the second one's user can do.
        error: what the second one raises.

    Raises:
        AMMRGError: of the kind ``error``: another process holds the lock; the message says which.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            who = file.read().strip() or "it does not say which"
            raise error(f"{folder}: another process {work} here ({who}); {advice}") from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
