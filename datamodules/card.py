"""What a finished folder says of itself: card.json, index.parquet and rejected.jsonl, made from its shards."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ammrg.atomic import write_atomically
from ammrg.errors import DataError
from ammrg.findings import FINDINGS, NUM_FINDINGS, is_unlabelled
from datamodules.format import CARD, INDEX, INDEX_SCHEMA, REJECTED, VERSION, shard_notes
from datamodules.sources import SPLITS, Rejection, SourceReading

TEXT_COLUMNS = ["study_id", "subject_id", "report", "labels", "projections", "findings", "impression", "indication"]


def check_records(records: Iterable[tuple[str, str, str]]) -> None:
    """Splits by patient, and every study once.

    Args:
        records: (study_id, subject_id, split) of each study.

    Raises:
        DataError: names the patients or the study, or the study without an id.
    """
    splits: dict[str, set[str]] = {}
    seen: set[str] = set()
    for study_id, subject_id, split in records:
        if not study_id.strip() or not subject_id.strip():
            raise DataError(
                f"a study of {split} has an empty id (study {study_id!r}, patient {subject_id!r}); name both"
            )
        if study_id in seen:
            raise DataError(f"study {study_id} stands twice in the raw data; study ids must be unique")
        seen.add(study_id)
        splits.setdefault(subject_id, set()).add(split)
    shared = [f"{subject} in {' and '.join(sorted(names))}" for subject, names in splits.items() if len(names) > 1]
    if shared:
        raise DataError(
            f"patients in two splits, which would leak their films ({len(shared)}): {'; '.join(shared[:5])}. Give each "
            "patient one split in the table or annotation that names it"
        )


def write_card(
    folder: Path,
    shards: Sequence[Path],
    reading: SourceReading,
    dataset: str,
    settings: Mapping[str, Any],
    max_rejected: float,
) -> dict[str, Any]:
    """Write rejected.jsonl and, where not too much was set aside, index.parquet and card.json.

    Args:
        folder: the prepared folder.
        shards: all of its shards, in order.
        reading: what the source said.
        dataset: its name.
        settings: what the content depends on.
        max_rejected: more than this share of films set aside is an error.

    Returns:
        The card.

    Raises:
        DataError: nothing was kept, or more than ``max_rejected`` of the films were set aside.
    """
    notes = [shard_notes(path) for path in shards]
    rejected = [*reading.rejected, *(Rejection(*line) for shard in notes for line in shard["rejected"])]
    lines = "".join(json.dumps(line._asdict()) + "\n" for line in rejected)
    write_atomically(folder / REJECTED, lines.encode())
    films = max(reading.films, sum(shard["films"] for shard in notes))
    if not any(shard["digests"] for shard in notes):
        raise DataError(f"{folder}: no study with a readable film and a {settings.get('section')} text was found")
    if len(rejected) > max_rejected * films:
        raise DataError(
            f"{len(rejected)} of {films} films were set aside, more than the {max_rejected:.1%} allowed; first: "
            f"{rejected[0].film}: {rejected[0].reason}. All stand in {folder / REJECTED}; "
            "cure them, or allow more with --max-rejected."
        )
    by_split = {split: [path for path in shards if path.name.startswith(f"{split}-")] for split in SPLITS}
    tables = {split: texts_of(paths) for split, paths in by_split.items() if paths}
    tables = {split: table for split, table in tables.items() if table.num_rows}
    check_records(
        (study_id, subject_id, split)
        for split, table in tables.items()
        for study_id, subject_id in zip(table["study_id"].to_pylist(), table["subject_id"].to_pylist(), strict=True)
    )
    digests = [digest for shard in notes for digest in shard["digests"]]
    sides = [side for shard in notes for side in shard["short_sides"]]
    card = {
        "version": VERSION,
        "dataset": dataset,
        "restricted": reading.restricted,
        "section": settings.get("section"),
        "source": reading.source,
        "seed": settings.get("seed"),
        "size": settings.get("size"),
        "fingerprint": hashlib.sha256("".join(digests).encode()).hexdigest()[:16],
        "counts": {split: split_counts(table) for split, table in tables.items()},
        "findings": {split: finding_counts(table) for split, table in tables.items()},
        "text": {split: text_counts(table) for split, table in tables.items()},
        "sections": {split: section_counts(table) for split, table in tables.items()},
        "texts_shared_with_train": shared_texts(tables),
        "sizes": {"short_side_min": min(sides), "short_side_median": int(median(sides)), "short_side_max": max(sides)},
        "bytes": sum(path.stat().st_size for path in shards),
        "raw_bytes": sum(shard["raw_bytes"] for shard in notes),
        "rejected": len(rejected),
        "films_named": films,
        "notes": dict(reading.notes),
        "settings": dict(settings),
    }
    write_index(folder / INDEX, tables)
    # Not sorted: the order of the splits is that of the folder.
    write_atomically(folder / CARD, (json.dumps(card, indent=2) + "\n").encode())
    return card


def texts_of(shards: Sequence[Path]) -> pa.Table:
    """Everything but the films of a split, and the number of each row's shard."""
    tables = []
    for number, path in enumerate(shards):
        table = pq.read_table(path, columns=TEXT_COLUMNS)
        tables.append(table.append_column("shard", pa.array(np.full(table.num_rows, number, np.int32))))
    return pa.concat_tables(tables)


def write_index(path: Path, tables: Mapping[str, pa.Table]) -> None:
    """One small table of all studies, so that ids, texts and labels of a split need no shard."""
    parts = [
        table.append_column("split", pa.array([split] * table.num_rows, pa.string())).select(INDEX_SCHEMA.names)
        for split, table in tables.items()
    ]
    file = pa.BufferOutputStream()
    pq.write_table(pa.concat_tables(parts).cast(INDEX_SCHEMA), file, compression="zstd", use_dictionary=["split"])
    write_atomically(path, file.getvalue().to_pybytes())


def split_counts(table: pa.Table) -> dict[str, int]:
    """Studies, subjects, films by projection, and unlabelled studies of one split."""
    projections = [name for row in table["projections"].to_pylist() for name in row]
    labels = table["labels"].to_pylist()
    return {
        "studies": table.num_rows,
        "subjects": len(set(table["subject_id"].to_pylist())),
        "views": len(projections),
        **{name: projections.count(name) for name in ("frontal", "lateral", "unknown")},
        "unlabelled": sum(is_unlabelled(row) for row in labels),
    }


def finding_counts(table: pa.Table) -> dict[str, dict[str, int]]:
    """Finding -> studies that call it positive, negative, uncertain, or leave it blank."""
    labels = np.asarray(table["labels"].to_pylist(), np.float32).reshape(-1, NUM_FINDINGS)
    return {
        name: {
            "positive": int((column == 1).sum()),
            "negative": int((column == 0).sum()),
            "uncertain": int((column == -1).sum()),
            "blank": int(np.isnan(column).sum()),
        }
        for name, column in zip(FINDINGS, labels.T, strict=True)
    }


def section_counts(table: pa.Table) -> dict[str, int]:
    """Studies that have a text in each section."""
    names = ("findings", "impression", "indication")
    return {name: sum(bool(text.strip()) for text in table[name].to_pylist()) for name in names}


def text_counts(table: pa.Table) -> dict[str, float]:
    """Words of the reports, and how many are distinct texts."""
    reports = table["report"].to_pylist()
    words = sorted(len(report.split()) for report in reports) or [0]
    return {
        "words_median": float(median(words)),
        "words_95th": float(words[min(len(words) - 1, math.floor(0.95 * len(words)))]),
        "words_max": float(words[-1]),
        "distinct": float(len(set(reports))),
    }


def shared_texts(tables: Mapping[str, pa.Table]) -> dict[str, int]:
    """Studies of val and test whose report stands word for word in train (case folded)."""
    if "train" not in tables:
        return {}
    train = {report.casefold() for report in tables["train"]["report"].to_pylist()}
    return {
        split: sum(report.casefold() in train for report in table["report"].to_pylist())
        for split, table in tables.items()
        if split != "train"
    }
