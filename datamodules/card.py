"""Writes the summary files of a prepared folder from its shards: card.json, index.parquet and rejected.jsonl."""

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
from ammrg.text.english import count_not_english
from datamodules.copied_films import Copy, copied_films
from datamodules.format import CARD, INDEX, INDEX_SCHEMA, REJECTED, VERSION, shard_notes
from datamodules.similar_ids import alike_in_two_splits
from datamodules.sources.source_reading import SPLITS, Rejection, SourceReading

OWN = ("csv", "r2gen")
"""Data sets whose table or annotation is the user's own."""
MOST_COPIES = 5
"""Copied films that a message names."""
MOST_REASONS = 3
"""Reasons of rejection that a message names."""
TEXT_COLUMNS = ["study_id", "subject_id", "report", "labels", "projections", "findings", "impression", "indication"]


def check_records(records: Iterable[tuple[str, str, str]]) -> None:
    """Check that each patient is in one split only, and that study ids are unique.

    Args:
        records: (study_id, subject_id, split) of each study.

    Raises:
        DataError: a patient is in two splits, a study id occurs twice, or an id is empty; the message names them.
    """
    splits: dict[str, set[str]] = {}
    seen: set[str] = set()
    for study_id, subject_id, split in records:
        if not study_id.strip() or not subject_id.strip():
            raise DataError(
                f"a study of {split} has an empty id (study {study_id!r}, patient {subject_id!r}); give both ids"
            )
        if study_id in seen:
            raise DataError(f"study {study_id} occurs twice in the raw data; study ids must be unique")
        seen.add(study_id)
        splits.setdefault(subject_id, set()).add(split)
    shared = [f"{subject} in {' and '.join(sorted(names))}" for subject, names in splits.items() if len(names) > 1]
    if shared:
        raise DataError(
            f"patients in two splits, whose films would leak into training ({len(shared)}): {'; '.join(shared[:5])}. "
            "Give each patient one split in the table or annotation that lists it"
        )


def write_card(
    folder: Path,
    shards: Sequence[Path],
    reading: SourceReading,
    dataset: str,
    settings: Mapping[str, Any],
    max_rejected: float,
) -> dict[str, Any]:
    """Write rejected.jsonl and, unless too many films were rejected, index.parquet and card.json.

    Args:
        folder: the prepared folder.
        shards: all of its shards, in order.
        reading: the records that were read from the raw data.
        dataset: name of the data set.
        settings: the settings that the content depends on.
        max_rejected: largest share of rejected films, in [0, 1], that is not an error.

    Returns:
        The card.

    Raises:
        DataError: no study was kept, more than ``max_rejected`` of the films were rejected, or patients of two splits
            share a film (:func:`check_copies`).
    """
    notes = [shard_notes(path) for path in shards]
    rejected = [*reading.rejected, *(Rejection(*line) for shard in notes for line in shard["rejected"])]
    films = max(reading.films, sum(shard["films"] for shard in notes))
    write_rejected(folder, rejected)
    if not any(shard["digests"] for shard in notes):
        raise DataError(f"{folder}: no study with a readable film and a {settings.get('section')} text was found")
    check_rejected(folder, rejected, films, max_rejected)
    by_split = {split: [path for path in shards if path.name.startswith(f"{split}-")] for split in SPLITS}
    tables = {split: texts_of(paths) for split, paths in by_split.items() if paths}
    tables = {split: table for split, table in tables.items() if table.num_rows}
    check_records(
        (study_id, subject_id, split)
        for split, table in tables.items()
        for study_id, subject_id in zip(table["study_id"].to_pylist(), table["subject_id"].to_pylist(), strict=True)
    )
    copies = list(copied_films(by_split))
    check_copies(copies, dataset)
    digests = [digest for shard in notes for digest in shard["digests"]]
    alike = alike_in_two_splits({split: set(table["subject_id"].to_pylist()) for split, table in tables.items()})
    unreadable = sum(map(len, reading.studies.values())) - len(digests)
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
        "notes": {
            **reading.notes,
            **({"without_readable_film": unreadable} if unreadable else {}),
            **({"films_of_two_patients": len(copies)} if copies else {}),
            **({"patients_alike": pairs_named(alike)} if dataset in OWN and alike else {}),
        },
        "settings": dict(settings),
    }
    write_index(folder / INDEX, tables)
    # Keys are not sorted: the splits keep the order of the folder.
    write_atomically(folder / CARD, (json.dumps(card, indent=2) + "\n").encode())
    return card


def pairs_named(pairs: Sequence[tuple[str, str]]) -> str:
    """Pairs of ids for whoever corrects them: ``P01 in train and p1 in test``, and the number of the others."""
    more = f" (and {len(pairs) - 1:,} more)" if len(pairs) > 1 else ""
    return " and ".join(pairs[0]) + more


def check_copies(copies: Sequence[Copy], dataset: str) -> None:
    """Refuse films that patients of two splits share, in data that their owner can mend; of others the card tells.

    Raises:
        DataError: there are such films.
    """
    leaked = [copy for copy in copies if copy.split != copy.first_split]
    if leaked and dataset in OWN:
        raise DataError(
            f"the same film under two patients in two splits, which would leak it into training ({len(leaked)}): "
            f"{'; '.join(map(str, leaked[:MOST_COPIES]))}. If it is one patient, give both rows one patient_id and one "
            "split; else leave one of them out"
        )


def check_rejected(
    folder: Path, rejected: Sequence[Rejection], films: int, max_rejected: float, *, unread: bool = False
) -> None:
    """Refuse too many rejected films.

    Args:
        folder: the prepared folder, whose rejected.jsonl lists them.
        rejected: the films that were rejected.
        films: number of all films.
        max_rejected: largest share of rejected films, in [0, 1], that is not an error.
        unread: whether the other films have not been read yet, so that more of them may be rejected.

    Raises:
        DataError: there are more; the message names the commonest reasons and the option that allows them.
    """
    if rejected and len(rejected) / films > max_rejected:
        allowed = math.floor(max_rejected * films + 1e-9)
        option = f"--max-rejected {math.ceil(100 * len(rejected) / films) / 100}"
        raise DataError(
            f"{len(rejected):,} of {films:,} films were rejected, more than the {allowed:,} "
            f"({max_rejected:.1%}) allowed:\n  " + "\n  ".join(reasons(rejected)) + "\n"
            f"All are listed in {folder / REJECTED}; repair them, or allow them with {option} (make data "
            f'PREPARE="{option}").'
            + (" The other films have not been read yet; some of them may be rejected too." if unread else "")
        )


def write_rejected(folder: Path, rejected: Sequence[Rejection]) -> None:
    """Write rejected.jsonl."""
    lines = "".join(json.dumps(line._asdict()) + "\n" for line in rejected)
    write_atomically(folder / REJECTED, lines.encode())


def reasons(rejected: Sequence[Rejection]) -> list[str]:
    """The most frequent reasons of rejection, each with its first film and the number of the others."""
    films: dict[str, list[str]] = {}
    for line in rejected:
        films.setdefault(line.reason, []).append(line.film)
    named = sorted(films.items(), key=lambda reason: -len(reason[1]))
    told = [
        f"{first}{f' and {len(others):,} more' if others else ''}: {reason}"
        for reason, (first, *others) in named[:MOST_REASONS]
    ]
    more = len(named) - MOST_REASONS
    return told + ([f"and {more:,} other reason{'s' if more > 1 else ''}"] if more > 0 else [])


def texts_of(shards: Sequence[Path]) -> pa.Table:
    """All columns of a split but the films, with the number of each row's shard."""
    tables = []
    for number, path in enumerate(shards):
        table = pq.read_table(path, columns=TEXT_COLUMNS)
        tables.append(table.append_column("shard", pa.array(np.full(table.num_rows, number, np.int32))))
    return pa.concat_tables(tables)


def write_index(path: Path, tables: Mapping[str, pa.Table]) -> None:
    """Write one small table of all studies, from which ids, texts and labels are read without opening a shard."""
    parts = [
        table.append_column("split", pa.array([split] * table.num_rows, pa.string())).select(INDEX_SCHEMA.names)
        for split, table in tables.items()
    ]
    file = pa.BufferOutputStream()
    pq.write_table(pa.concat_tables(parts).cast(INDEX_SCHEMA), file, compression="zstd", use_dictionary=["split"])
    write_atomically(path, file.getvalue().to_pybytes())


def split_counts(table: pa.Table) -> dict[str, int]:
    """Numbers of studies, subjects, films by projection, and unlabelled studies of one split."""
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
    """Finding -> number of studies in which it is positive, negative, uncertain or blank."""
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
    """Number of studies that have a text in each section."""
    names = ("findings", "impression", "indication")
    return {name: sum(bool(text.strip()) for text in table[name].to_pylist()) for name in names}


def text_counts(table: pa.Table) -> dict[str, float]:
    """Word counts of the reports, the number of distinct reports, and of those that do not look English."""
    reports = table["report"].to_pylist()
    words = sorted(len(report.split()) for report in reports) or [0]
    return {
        "words_median": float(median(words)),
        "words_95th": float(words[min(len(words) - 1, math.floor(0.95 * len(words)))]),
        "words_max": float(words[-1]),
        "distinct": float(len(set(reports))),
        "without_english_words": float(count_not_english(reports)),
    }


def shared_texts(tables: Mapping[str, pa.Table]) -> dict[str, int]:
    """Number of val and test studies whose report is word for word one of train's, ignoring case."""
    if "train" not in tables:
        return {}
    train = {report.casefold() for report in tables["train"]["report"].to_pylist()}
    return {
        split: sum(report.casefold() in train for report in table["report"].to_pylist())
        for split, table in tables.items()
        if split != "train"
    }
