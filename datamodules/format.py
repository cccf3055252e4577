"""The file format of a prepared folder.

- ``{split}-00000.parquet`` ...: the studies, films as 8-bit grey JPEG, in row groups of :data:`ROWS_PER_GROUP`;
- ``index.parquet``: ids, texts and labels of all studies, without films;
- ``card.json``: counts, settings and a content fingerprint, written last: a folder without it is not finished;
- ``rejected.jsonl``: the rejected films, with the reasons;
- ``prepare.json``: the settings, written first.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ammrg.errors import DataError

VERSION = 2
"""Format version of the shards and the card; readers refuse other versions."""
CARD, INDEX, REJECTED = "card.json", "index.parquet", "rejected.jsonl"
ROWS_PER_GROUP = 16
"""Studies that are read together, in one request to object storage: about 1 MB with films of 512 pixels."""

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
"""One row for each study, in the order of the shards; ``shard`` is the number in the shard's name."""


def shard_name(split: str, number: int) -> str:
    """File name of a shard: ``train``, 3 -> ``train-00003.parquet``."""
    return f"{split}-{number:05d}.parquet"


def shard_notes(path: Path) -> dict[str, Any]:
    """The notes in a shard's footer: its plan, digests, rejected films and counts.

    Raises:
        DataError: the file is not a whole shard of this project.
    """
    try:
        metadata = pq.read_schema(path).metadata or {}
        notes: dict[str, Any] = json.loads(metadata[b"ammrg"])
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{path}: not a whole shard of prepared studies; prepare the data again") from error
    return notes
