"""A check that a run can write to its folder, made before anything is loaded."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ammrg.errors import SettingsError

LEAST_FREE = 100 * 2**20
"""Bytes that must be free at the start; a run of the smallest model writes about this much."""


def check_output_folder(folder: Path) -> None:
    """Create the folder, and write and remove a small file in it.

    Raises:
        SettingsError: the folder cannot be created or written to, or its disk has too little space.
    """
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"0" * 4096)
        probe.unlink()
    except OSError as error:
        raise SettingsError(
            f"{folder}: the run cannot write there ({error.strerror or error}); make it writable, or name another "
            "folder with OUT= (--trainer.default_root_dir)"
        ) from error
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE:
        raise SettingsError(
            f"{folder}: only {free / 2**20:.0f} MiB are free on its disk, but a run needs at least "
            f"{LEAST_FREE / 2**20:.0f}; make room, or name another folder with OUT= (--trainer.default_root_dir)"
        )
