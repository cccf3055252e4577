"""Writes prepared data in other layouts: R2Gen's annotation, ReXrank's JSON, and a table with a row for each film.

Films are copied as they are stored, to ``images/<study>/<n>.jpg``. The JSON file or table is written last: an export
without it is not finished.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from rich.progress import track

from ammrg.atomic import write_atomically
from ammrg.errors import SettingsError
from datamodules.prepared import PreparedFolder
from datamodules.sources.csv import OPTIONAL, REQUIRED, TABLE
from datamodules.sources.r2gen import ANNOTATION
from datamodules.sources.source_reading import SPLITS

IMAGES = "images"


class Export(NamedTuple):
    """A summary of the written files."""

    files: tuple[Path, ...]
    """The JSON files, or the table."""
    studies: int
    films: int


def write_annotation(data: str | Path, out: Path, splits: Sequence[str]) -> Export:
    """Write R2Gen's ``annotation.json``: {train, val, test: [{id, study_id, subject_id, report, image_path, split}]}.

    ``report`` is the text that the data were prepared for, and a study is one example with all its films. Labels,
    projections and the other sections are not written, since an annotation has no fields for them.

    Args:
        data: a prepared folder, or a URL of one.
        out: folder to write to, made if it is missing.
        splits: the splits to write; other splits are empty lists.

    Raises:
        SettingsError: ``out`` is a file, or contains an annotation.
        DataError: ``data`` is not a prepared folder, or has no such split.
    """
    target = out / ANNOTATION
    check_new(out, [target])
    annotation: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    for split, row in rows_of(PreparedFolder(data), splits):
        example = {"id": row["study_id"], "study_id": row["study_id"], "subject_id": row["subject_id"]}
        example |= {"report": row["report"], "image_path": write_films(row, out), "split": split}
        annotation[split].append(example)
    write_atomically(target, json.dumps(annotation).encode())
    return export((target,), [example["image_path"] for examples in annotation.values() for example in examples])


def write_table(data: str | Path, out: Path, splits: Sequence[str]) -> Export:
    """Write ``studies.csv``, a row for each film, as :mod:`datamodules.sources.csv` reads it.

    ``report`` is the text that the data were prepared for. Labels and the other sections are not written.

    Args:
        data: a prepared folder, or a URL of one.
        out: folder to write to, made if it is missing.
        splits: the splits to write.

    Raises:
        SettingsError: ``out`` is a file, or contains a table.
        DataError: ``data`` is not a prepared folder, or has no such split.
    """
    target = out / TABLE
    check_new(out, [target])
    text, films = io.StringIO(), []
    table = csv.writer(text)
    table.writerow((*REQUIRED, *OPTIONAL))
    for split, row in rows_of(PreparedFolder(data), splits):
        films.append(write_films(row, out))
        for film, projection in zip(films[-1], row["projections"], strict=True):
            table.writerow((film, row["report"], row["subject_id"], row["study_id"], split, projection))
    write_atomically(target, text.getvalue().encode())
    return export((target,), films)


def write_rexrank(data: str | Path, out: Path, splits: Sequence[str]) -> Export:
    """Write ReXrank's ``rexrank_<split>.json`` for each split: {study_id: fields}; see :func:`rexrank_fields`.

    Args:
        data: a prepared folder, or a URL of one.
        out: folder to write to, made if it is missing.
        splits: the splits to write.

    Raises:
        SettingsError: ``out`` is a file, or contains one of the files.
        DataError: ``data`` is not a prepared folder, or has no such split.
    """
    targets = {split: out / f"rexrank_{split}.json" for split in splits}
    check_new(out, list(targets.values()))
    studies: dict[str, dict[str, Any]] = {split: {} for split in splits}
    for split, row in rows_of(PreparedFolder(data), splits):
        studies[split][row["study_id"]] = rexrank_fields(row, write_films(row, out), split)
    for split, target in targets.items():
        write_atomically(target, json.dumps(studies[split], indent=2).encode())
    written = [fields["image_path"] for of_split in studies.values() for fields in of_split.values()]
    return export(tuple(targets.values()), written)


def rexrank_fields(row: Mapping[str, Any], films: Sequence[str], split: str) -> dict[str, Any]:
    """The fields of one study, as in ReXrank's test files (github.com/rajpurkarlab/ReXrank, data and example_files).

    A missing section is null instead of ReXrank's NaN, which is not valid JSON; its evaluation reads both as missing.
    ``context`` contains the indication only, since prepared data have no age, sex or comparison.

    Args:
        row: the study.
        films: paths of its films below the image folder.
        split: split of the study.
    """
    findings, impression = row["findings"].strip() or None, row["impression"].strip() or None
    indication = row["indication"].strip()
    projections = row["projections"]
    return {
        "key_image_path": films[projections.index("frontal") if "frontal" in projections else 0],
        "image_path": list(films),
        "report": f"Findings: {findings or 'None.'} Impression: {impression or 'None.'}",
        "section_findings": findings,
        "section_impression": impression,
        "split": split,
        "subject_id": row["subject_id"],
        "frontal_lateral": [projection.capitalize() for projection in projections],
        "context": f"Indication: {indication}" if indication else "",
    }


def check_new(out: Path, targets: Sequence[Path]) -> None:
    """Refuse to overwrite files, which may be a raw data set or an export of other data.

    Raises:
        SettingsError: ``out`` is a file, or one of the target files exists.
    """
    if out.exists() and not out.is_dir():
        raise SettingsError(f"{out} is a file; name a folder with --out")
    there = [path for path in targets if path.exists()]
    if there:
        raise SettingsError(f"{there[0]} exists already; name another folder with --out, or remove it yourself")


def rows_of(prepared: PreparedFolder, splits: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(split, row) of every study, with a progress bar; one row group at a time is in memory.

    Raises:
        DataError: ``prepared`` is not a prepared folder, or has no such split.
    """
    total = sum(prepared.split_size(split) for split in splits)
    rows = ((split, prepared.streamed(split, cached_groups=1)) for split in splits)
    studies = ((split, of_split[place]) for split, of_split in rows for place in range(len(of_split)))
    yield from track(studies, "writing studies", total=total, transient=True)


def write_films(row: Mapping[str, Any], out: Path) -> list[str]:
    """Write the stored JPEGs of a study; returns their paths below the image folder."""
    # Quoted, so that any study id is a valid and unique folder name.
    folder = quote(row["study_id"], safe="").replace(".", "%2E")
    (out / IMAGES / folder).mkdir(parents=True, exist_ok=True)
    films = [f"{folder}/{number}.jpg" for number in range(len(row["images"]))]
    for film, image in zip(films, row["images"], strict=True):
        write_atomically(out / IMAGES / film, image)
    return films


def export(files: tuple[Path, ...], films: Sequence[Sequence[str]]) -> Export:
    """The summary of an export, from its files and the films of each study."""
    return Export(files, len(films), sum(map(len, films)))
