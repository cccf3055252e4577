"""Atomic writes of files and folders, and ordinary permissions for files that were written through temporary ones."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ORDINARY, PRIVATE = 0o666, 0o600
"""Permissions before the umask: of most files, and of those that are about a patient."""


@contextmanager
def partial_file(path: Path, mode: int | None = None) -> Iterator[Path]:
    """Give a hidden path to write, which is renamed to ``path`` at the end.

    After an error the hidden file is removed, and ``path`` is unchanged.

    Args:
        path: of the whole file.
        mode: its permissions before the umask; the hidden path is then an empty file that has them. Default: those that
            its writer gives it.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        if mode is not None:
            partial.unlink(missing_ok=True)  # one of an ended process with this number would keep its permissions
            os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
        yield partial
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, content: bytes, mode: int = ORDINARY) -> None:
    """Write a small file so that a reader sees either all of the new content or none of it."""
    with partial_file(path, mode) as partial:
        partial.write_bytes(content)


def write_json(path: Path, value: Any, mode: int = ORDINARY) -> None:
    """Write JSON atomically: a reader sees either the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode(), mode)


@contextmanager
def partial_folder(folder: Path) -> Iterator[Path]:
    """Make an empty folder beside ``folder``, which the caller fills and moves into place with ``os.replace``.

    If the caller does not move it, it is removed at the end. Leftovers of an earlier process with the same number are
    removed at the start.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def as_new_files(paths: Iterable[Path]) -> None:
    """Give files the permissions that a new file in their folder gets from the umask.

    safetensors writes through a temporary file that only its owner may read, and the result keeps that restriction.

    Args:
        paths: files; folders among them are skipped.
    """
    modes: dict[Path, int] = {}
    for path in paths:
        if path.is_dir():
            continue
        if path.parent not in modes:
            probe = path.with_name(f".{path.name}.{os.getpid()}.probe")
            probe.touch()
            modes[path.parent] = probe.stat().st_mode & 0o777
            probe.unlink()
        path.chmod(modes[path.parent])
