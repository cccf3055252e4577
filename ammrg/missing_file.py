"""Advice about a missing file: what is there instead, and which name is closest."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection
from pathlib import Path

from ammrg.errors import CheckpointError

SHOWN = 6
"""Most names that a message lists."""


def check_there(path: Path) -> None:
    """Refuse a checkpoint that does not exist. This is quick: torch is not imported yet.

    Raises:
        CheckpointError: no such file; the message says what is there instead.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: {advice(path, ('.ckpt',))}")


def advice(path: Path, suffixes: Collection[str] = ()) -> str:
    """Say what is there instead of a file: the rest of a message that begins with the path.

    Args:
        path: where no file was found.
        suffixes: the endings that the file's name may have; empty = any.
    """
    if path.is_dir():
        fitting = _fitting(path, suffixes)
        return f"a folder, not a file; name a file in it: {_listed(fitting)}" if fitting else "a folder, not a file"
    if not path.parent.is_dir():
        absent = next(parent for parent in (*reversed(path.parents), path) if not parent.is_dir())
        return f"no such file: there is no folder {absent}; {_near(absent)}"
    if path.name == "reports.jsonl" and (path.parent / "stage2").is_dir():
        return "no such file; write the run's reports first (make reports)"
    return f"no such file; {_near(path, suffixes)}"


def _near(path: Path, suffixes: Collection[str] = ()) -> str:
    """Name the closest file in the path's folder, or else list the files there."""
    folder = path.parent
    there = _fitting(folder, suffixes)
    if close := difflib.get_close_matches(path.name, there, n=1):
        return f"did you mean {folder / close[0]}?"
    return f"in {folder} there is {_listed(there) or 'nothing of the kind'}"


def _fitting(folder: Path, suffixes: Collection[str]) -> list[str]:
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError:
        return []
    return [name for name in names if not suffixes or Path(name).suffix in suffixes]


def _listed(names: list[str]) -> str:
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
