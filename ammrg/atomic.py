"""Small files that are whole or not there, and files that those may read who may read any other."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def partial_file(path: Path) -> Iterator[Path]:
    """A hidden path to be written, which takes the name ``path`` at the end. After an error it is removed, and ``path``
    is as it was."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Write a small file so that a reader sees all of it or none."""
    with partial_file(path) as partial:
        partial.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically: a reader sees the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())


@contextmanager
def partial_folder(folder: Path) -> Iterator[Path]:
    """An empty folder beside ``folder``, to be filled and put in its place (``os.replace``); what is left of it at the
    end, or of a process that was killed, goes."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def as_new_files(paths: Iterable[Path]) -> None:
    """Give files the permissions that any new file of their folder gets: by the umask, 0022 lets a group read.

    safetensors writes through a temporary file that is its owner's alone, and so does what writes through it.

    Args:
        paths: files; folders among them are passed over.
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
