"""A folder of a model that is whole or not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ammrg.atomic import as_new_files, partial_folder

if TYPE_CHECKING:
    pass


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder beside ``folder`` that takes its place when all went well: never half a model."""
    with partial_folder(folder) as partial:
        yield partial
        as_new_files(partial.rglob("*"))
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(partial, folder)
