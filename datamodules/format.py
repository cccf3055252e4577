"""The files of a prepared folder, as they are written and read.

- ``{split}-00000.parquet`` ...: the studies, films as 8-bit grey JPEG, in row groups of :data:`ROWS_PER_GROUP`;
- ``index.parquet``: ids, texts and labels of all studies, without films;
- ``card.json``: counts, settings and a content fingerprint, written last: a folder without it is not finished;
- ``rejected.jsonl``: films set aside, with the reason;
- ``prepare.json``: the settings, from the first moment on.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ammrg.errors import DataError

VERSION = 2
"""Of the shards and the card; a reader refuses another."""
CARD, INDEX, REJECTED = "card.json", "index.parquet", "rejected.jsonl"
ROWS_PER_GROUP = 16
"""Studies that are read in one piece: with films of 512 pixels about a megabyte, one request to object storage."""

SCHEMA = pa.schema(
    [
        ("study_id", pa.string()),
        ("subject_id", pa.string()),
        ("split", pa.string()),
        ("findings", pa.string()),
        ("impression", pa.string()),
        ("indication", pa.string()),
        ("report", pa.string()),
        ("labels", pa.list_(pa.float32())),
        ("source", pa.string()),
        ("images", pa.list_(pa.binary())),
        ("projections", pa.list_(pa.string())),
        (
            "boxes",
            pa.list_(
                pa.struct(
                    [("view", pa.int32()), ("finding", pa.int32())]
                    + [(corner, pa.float32()) for corner in ("x0", "y0", "x1", "y1")]
                )
            ),
        ),
    ]
)

INDEX_SCHEMA = pa.schema(
    [
        ("split", pa.string()),
        ("shard", pa.int32()),
        *(SCHEMA.field(name) for name in ("study_id", "subject_id", "report", "labels", "projections")),
    ]
)
"""A row a study, in the order of the shards; ``shard`` is the number in the shard's name."""


def shard_name(split: str, number: int) -> str:
    """``train``, 3 -> ``train-00003.parquet``."""
    return f"{split}-{number:05d}.parquet"


def shard_notes(path: Path) -> dict[str, Any]:
    """What a shard says of itself, from its footer.

    Raises:
        DataError: not a whole shard of this project.
    """
    try:
        metadata = pq.read_schema(path).metadata or {}
        notes: dict[str, Any] = json.loads(metadata[b"ammrg"])
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{path}: not a whole shard of prepared studies; prepare the data again") from error
    return notes
