"""Files that hold a secret."""

from __future__ import annotations

import stat
from pathlib import Path


def exposure(path: Path) -> str | None:
    """Say that every user of this machine may read a secret, and what to do; None where they may not.

    That a group may is no mistake: so a system gives a secret to one of its services.

    Args:
        path: of a file that exists.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & stat.S_IROTH:
        return None
    return f"{path}: every user of this machine may read this token (mode {mode:o}); chmod 600 {path}"
