"""Studies to try: folders of films, one for each, whose names say what they show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ammrg.demo.pictures import THUMBNAIL_SIDE, film_picture
from ammrg.errors import ReadError
from ammrg.imaging.reading import read_film

NOTE = "about.txt"
"""A file beside the folders of the examples."""


def example_folders(folder: Path | None) -> list[Path]:
    """Return the folders of the examples, sorted by name.

    Raises:
        ReadError: the folder holds none.
    """
    if folder is None:
        return []
    if not folder.is_dir():
        raise ReadError(f"{folder}: no such folder; name one with a folder of films for each example")
    found = [path for path in visible(folder) if path.is_dir() and visible(path)]
    if not found:
        raise ReadError(f"{folder}: holds no folder with films; put the films of each example into one of its own")
    return found


def visible(folder: Path) -> list[Path]:
    """Return what a folder holds, sorted by name, without the hidden files that some systems leave in every folder."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def example_note(folder: Path | None) -> str:
    """Return what the folder of the examples says of them all, in :data:`NOTE`; empty where it says nothing."""
    note = None if folder is None else folder / NOTE
    return note.read_text(encoding="utf-8").strip() if note is not None and note.is_file() else ""


def example_cards(folders: list[Path]) -> list[dict[str, Any]]:
    """Return the title of each example (its folder's name, without a number before it) and its first film, small.

    Raises:
        ReadError: a first film cannot be read.
    """
    return [
        {
            "title": folder.name.lstrip("0123456789").strip(" -_") or folder.name,
            "src": film_picture(read_film(visible(folder)[0]), THUMBNAIL_SIDE),
            "films": len(visible(folder)),
        }
        for folder in folders
    ]
