"""A model's folder that is either complete or absent."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ammrg.atomic import as_new_files, partial_folder


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder that replaces ``folder`` if the block succeeds; no half-written model is left."""
    with partial_folder(folder) as partial:
        yield partial
        as_new_files(partial.rglob("*"))
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(partial, folder)
