"""Prepared data exported in a layout that other tools read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datamodules.prepared import read_card
from datamodules.sources.source_reading import SPLITS
from datamodules.sources.writers import IMAGES, write_annotation, write_rexrank, write_table

WRITERS = {"csv": write_table, "r2gen": write_annotation, "rexrank": write_rexrank}
"""Layout -> the function that writes it."""


def convert(data: str, layout: str, out: Path, splits: Sequence[str] | None = None) -> None:
    """Write prepared data in another layout, and print the files and counts.

    Args:
        data: prepared folder.
        layout: a key of :data:`WRITERS`.
        out: folder to write to.
        splits: the splits to write; None writes all that have studies.

    Raises:
        DataError: ``data`` holds no prepared data, or a file is in ``out`` already.
    """
    card = read_card(data)
    chosen = list(dict.fromkeys(splits or (split for split in SPLITS if split in card["counts"])))
    export = WRITERS[layout](data, out, chosen)
    for path in export.files:
        print(path)
    print(f"{export.studies:,} studies ({', '.join(chosen)}), {export.films:,} films in {out / IMAGES}/")
    if card["restricted"]:
        print(f"{card['dataset']} is restricted: this copy must stay on this machine, as the data set's terms say")
