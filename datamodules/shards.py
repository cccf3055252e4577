"""Study records <-> Parquet shards: written in parallel, resumable after a kill, described by one card.

A prepared folder holds

- ``{split}-00000.parquet`` ...: at most :data:`STUDIES_PER_SHARD` studies each, films as 8-bit grey JPEG;
- ``rejected.jsonl``: films set aside, with the reason;
- ``prepare.json``: the settings, from the first moment on;
- ``card.json``: counts, settings and a content fingerprint, written last: a folder without it is not finished.

A shard is written under a temporary name and renamed, and knows the records it was made from, so a second run makes
only what is missing or was made from others. Its plan depends on no worker, so neither do its bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from ammrg.errors import DataError, ReadError
from ammrg.findings import FINDINGS, NUM_FINDINGS, is_unlabelled
from ammrg.imaging.reading import read_film, shrink
from ammrg.text.cleaning import clean
from ammrg.types import Study
from datamodules.sources import SPLITS, Rejection, Section, SourceReading, section_text

if TYPE_CHECKING:
    import datasets

VERSION = 1
"""Of the shards and the card; a reader refuses another."""
STUDIES_PER_SHARD = 128
JPEG_QUALITY = 90
FEW_STUDIES = 64
"""With no more than this many to make, starting worker processes costs more than it brings."""

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
TEXT_COLUMNS = ["study_id", "subject_id", "report", "labels", "projections"]


class Job(NamedTuple):
    """One shard to be made."""

    path: Path
    studies: Sequence[Study]
    """May still have to be drawn; a worker does that."""
    size: int
    section: Section
    plan: str
    """Hash of the records and settings it is made from."""


class Encoded(NamedTuple):
    """One study as a row, and what was set aside on the way."""

    row: dict[str, Any] | None
    """None where no film of the study could be read."""
    digest: str
    rejected: list[Rejection]


# --- writing ---------------------------------------------------------------------------------------------------------


def write_shards(
    reading: SourceReading,
    folder: Path,
    *,
    dataset: str,
    settings: Mapping[str, Any],
    size: int,
    section: Section,
    workers: int | None = None,
    max_rejected: float = 0.01,
) -> dict[str, Any]:
    """Write all shards of a data set and its card; shards that are there already are kept.

    Args:
        reading: the records.
        folder: where to; made where missing.
        dataset: its name, for the card; every one but ``phantom`` is restricted.
        settings: what the content depends on, for the card.
        size: the shorter side of a film is at most this many pixels; none is enlarged.
        section: which text becomes ``report``.
        workers: processes; None takes one a core. The content does not depend on it.
        max_rejected: more than this share of films set aside is an error, at the end.

    Returns:
        The card.

    Raises:
        DataError: a patient in two splits, a study twice, nothing to write, or too many films set aside.
    """
    # Records that are still to be drawn are checked when they are there, before the card.
    known = [studies for studies in reading.studies.values() if isinstance(studies, list)]
    check_records((study.study_id, study.subject_id, study.split) for studies in known for study in studies)
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(".*.partial"):
        leftover.unlink(missing_ok=True)
    jobs = list(plan_jobs(reading, folder, size, section))
    planned = {job.path for job in jobs}
    for stale in folder.glob("*-*.parquet"):
        if stale not in planned:
            stale.unlink()
    run_jobs(jobs, workers)
    return finish(jobs, reading, folder, dataset, settings, max_rejected)


def check_records(records: Iterable[tuple[str, str, str]]) -> None:
    """Splits by patient, and every study once.

    Args:
        records: (study_id, subject_id, split) of each study.

    Raises:
        DataError: names the patients or the study.
    """
    splits: dict[str, set[str]] = {}
    seen: set[str] = set()
    for study_id, subject_id, split in records:
        if study_id in seen:
            raise DataError(f"study {study_id} stands twice in the raw data; study ids must be unique")
        seen.add(study_id)
        splits.setdefault(subject_id, set()).add(split)
    shared = [f"{subject} in {' and '.join(sorted(names))}" for subject, names in splits.items() if len(names) > 1]
    if shared:
        raise DataError(
            f"{len(shared)} patients stand in two splits, which would leak their films: {'; '.join(shared[:5])}"
        )


def plan_jobs(reading: SourceReading, folder: Path, size: int, section: Section) -> Iterator[Job]:
    """The shards of a data set, in order."""
    for split in SPLITS:
        studies = reading.studies.get(split, ())
        for number, start in enumerate(range(0, len(studies), STUDIES_PER_SHARD)):
            part = studies[start : start + STUDIES_PER_SHARD]
            made_from = f"{VERSION}|{size}|{section}|{JPEG_QUALITY}|{part!r}"
            plan = hashlib.sha256(made_from.encode()).hexdigest()[:16]
            yield Job(folder / f"{split}-{number:05d}.parquet", part, size, section, plan)


def run_jobs(jobs: Sequence[Job], workers: int | None) -> None:
    """Make the shards that are missing, with a progress bar.

    Raises:
        KeyboardInterrupt: finished shards stay; the same call goes on.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    todo = [job for job in jobs if not is_made(job)]
    count = sum(len(job.studies) for job in todo)
    done = sum(len(job.studies) for job in jobs) - count
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress:
        task = progress.add_task("studies", total=count + done, completed=done)
        workers = min(workers or os.cpu_count() or 1, len(todo))
        if workers <= 1 or count <= FEW_STUDIES:
            for job in todo:
                make_shard(job)
                progress.advance(task, len(job.studies))
            return
        # Not forked from here: this process may hold threads (Arrow's, Torch's) that a fork would leave locked.
        context = get_context("forkserver" if os.name == "posix" else "spawn")
        if os.name == "posix":
            context.set_forkserver_preload([__name__])  # imported once, not once a worker
        pool = ProcessPoolExecutor(workers, context, initializer=start_worker)
        try:
            futures = {pool.submit(make_shard, job): job for job in todo}
            for future in as_completed(futures):
                future.result()
                progress.advance(task, len(futures[future].studies))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def start_worker() -> None:
    """Ctrl-C is the parent's to handle; and a worker whose parent was killed ends too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is None:
        return

    def watch(sentinel: int) -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, args=(parent.sentinel,), daemon=True).start()


def is_made(job: Job) -> bool:
    """True where the shard is there, whole, and made from the same records."""
    if not job.path.exists():
        return False
    try:
        return bool(shard_notes(job.path)["plan"] == job.plan)
    except (DataError, KeyError):
        return False


def make_shard(job: Job) -> None:
    """Write one shard under a temporary name, then rename it."""
    encoded = [encode_study(study, job.size, job.section) for study in job.studies]
    notes = {
        "version": VERSION,
        "plan": job.plan,
        "digests": [study.digest for study in encoded if study.row is not None],
        "rejected": [list(rejection) for study in encoded for rejection in study.rejected],
        "films": sum(len(study.row["images"]) if study.row else 0 for study in encoded)
        + sum(len(study.rejected) for study in encoded),
        "short_sides": short_sides(encoded),
    }
    schema = SCHEMA.with_metadata({"ammrg": json.dumps(notes)})
    table = pa.Table.from_pylist([study.row for study in encoded if study.row is not None], schema=schema)
    partial = job.path.with_name(f".{job.path.name}.{os.getpid()}.partial")
    pq.write_table(table, partial, compression="snappy", use_dictionary=["split", "source"], row_group_size=32)
    os.replace(partial, job.path)


def encode_study(study: Study, size: int, section: Section) -> Encoded:
    """One row: films decoded, shrunk and stored as grey JPEG; a film that cannot be read is set aside.

    Boxes of a film that was set aside go with it; the others keep their film.
    """
    images: list[bytes] = []
    projections: list[str] = []
    rejected: list[Rejection] = []
    place: dict[int, int] = {}
    for number, view in enumerate(study.views):
        try:
            film = shrink(read_film(view.image, at_least=size), size)
        except ReadError as error:
            name = view.image.name if isinstance(view.image, Path) else f"view {number + 1}"
            rejected.append(Rejection(study.study_id, name, str(error).replace(str(view.image), name)))
            continue
        place[number] = len(images)
        images.append(to_jpeg(film))
        projections.append(view.projection)
    if not images:
        return Encoded(None, "", rejected)
    boxes = [box._replace(view=place[box.view])._asdict() for box in study.boxes if box.view in place]
    if len(study.labels) != NUM_FINDINGS:
        raise DataError(f"study {study.study_id} has {len(study.labels)} labels, not {NUM_FINDINGS}")
    row = {
        "study_id": study.study_id,
        "subject_id": study.subject_id,
        "split": study.split,
        "findings": study.findings,
        "impression": study.impression,
        "indication": study.indication,
        "report": clean(section_text(study, section)),
        "labels": [float(value) for value in study.labels],
        "source": study.source,
        "images": images,
        "projections": projections,
        "boxes": boxes,
    }
    return Encoded(row, digest_row(row), rejected)


def to_jpeg(film: NDArray[np.uint8]) -> bytes:
    """8-bit grey JPEG of a film ``[h w]``."""
    file = io.BytesIO()
    Image.fromarray(film).save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


def digest_row(row: Mapping[str, Any]) -> str:
    """sha256 (first 16 hex digits) of everything a row holds."""
    digest = hashlib.sha256(json.dumps({k: v for k, v in row.items() if k != "images"}, sort_keys=True).encode())
    for image in row["images"]:
        digest.update(hashlib.sha256(image).digest())
    return digest.hexdigest()[:16]


def short_sides(encoded: Sequence[Encoded]) -> list[int]:
    """Shorter side in pixels of each stored film, from the JPEG headers."""
    sides = []
    for study in encoded:
        for data in study.row["images"] if study.row else ():
            with Image.open(io.BytesIO(data)) as image:
                sides.append(min(image.size))
    return sides


# --- the card --------------------------------------------------------------------------------------------------------


def finish(
    jobs: Sequence[Job],
    reading: SourceReading,
    folder: Path,
    dataset: str,
    settings: Mapping[str, Any],
    max_rejected: float,
) -> dict[str, Any]:
    """Write rejected.jsonl and, where not too much was set aside, card.json.

    Raises:
        DataError: nothing was kept, or more than ``max_rejected`` of the films were set aside.
    """
    notes = [shard_notes(job.path) for job in jobs]
    rejected = [*reading.rejected, *(Rejection(*line) for shard in notes for line in shard["rejected"])]
    write_atomically(folder / "rejected.jsonl", "".join(json.dumps(line._asdict()) + "\n" for line in rejected))
    films = max(reading.films, sum(shard["films"] for shard in notes))
    if not any(shard["digests"] for shard in notes):
        raise DataError(f"{folder}: no study with a readable film and a {settings.get('section')} text was found")
    if len(rejected) > max_rejected * films:
        raise DataError(
            f"{len(rejected)} of {films} films were set aside, more than the {max_rejected:.1%} allowed; first: "
            f"{rejected[0].film}: {rejected[0].reason}. All stand in {folder / 'rejected.jsonl'}; "
            "cure them, or allow more with --max-rejected."
        )
    tables = {
        split: pa.concat_tables(
            [pq.read_table(job.path, columns=TEXT_COLUMNS) for job in jobs if job.path.name.startswith(f"{split}-")]
        )
        for split in SPLITS
        if any(job.path.name.startswith(f"{split}-") for job in jobs)
    }
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
        "restricted": dataset != "phantom",
        "section": settings.get("section"),
        "source": reading.source,
        "seed": settings.get("seed"),
        "size": settings.get("size"),
        "fingerprint": hashlib.sha256("".join(digests).encode()).hexdigest()[:16],
        "counts": {split: split_counts(table) for split, table in tables.items()},
        "findings": {split: finding_counts(table) for split, table in tables.items()},
        "text": {split: text_counts(table) for split, table in tables.items()},
        "texts_shared_with_train": shared_texts(tables),
        "sizes": {"short_side_min": min(sides), "short_side_median": int(median(sides)), "short_side_max": max(sides)},
        "bytes": sum(job.path.stat().st_size for job in jobs),
        "rejected": len(rejected),
        "films_named": films,
        "notes": dict(reading.notes),
        "settings": dict(settings),
    }
    write_atomically(folder / "card.json", json.dumps(card, indent=2) + "\n")
    return card


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


def write_atomically(path: Path, text: str) -> None:
    """Write a small file so that a reader sees all of it or none."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


# --- reading ---------------------------------------------------------------------------------------------------------


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


def read_card(folder: Path | str) -> dict[str, Any]:
    """The card of a prepared folder.

    Raises:
        DataError: there is none, it is broken, or of another version.
    """
    path = Path(folder) / "card.json"
    if not path.is_file():
        how = "make data DATASET=<name> RAW=<folder>, or python -m experiments prepare"
        raise DataError(f"{path}: no such file; {folder} holds no prepared data. Prepare it first: {how}")
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = card.get("version")
    except (ValueError, AttributeError) as error:
        raise DataError(f"{path}: cannot be read as a card: {error}; prepare the data again") from error
    if version != VERSION:
        raise DataError(f"{path} is of version {version}, this code reads version {VERSION}; prepare the data again")
    return card


def load_split(folder: Path | str, split: str) -> datasets.Dataset:
    """All rows of one split, memory-mapped; nothing is asked of a hub.

    The map is made once, in the folder's ``.cache`` (in the user's own where the folder is read-only).

    Raises:
        DataError: no card, no such split, or shards missing.
    """
    card = read_card(folder)
    if split not in card["counts"]:
        raise DataError(f"{folder} holds no split '{split}'; it has {', '.join(card['counts'])}")
    expected = card["counts"][split]["studies"]
    files = sorted(str(path) for path in Path(folder).glob(f"{split}-*.parquet"))
    found = sum(pq.read_metadata(path).num_rows for path in files)
    if found != expected:
        raise DataError(f"{folder}: the {split} shards hold {found} studies, the card says {expected}; prepare again")

    import datasets

    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        cache = str(Path(folder).resolve() / ".cache") if os.access(folder, os.W_OK) else None
        return datasets.Dataset.from_parquet(files, cache_dir=cache)
    finally:
        if shown:
            datasets.enable_progress_bars()
