"""Writes study records as Parquet shards, in parallel and resumable (file format: :mod:`datamodules.format`).

A shard is written to a temporary file, renamed, and carries a hash of its records. So a second run makes only shards
that are missing or were made from other records. The content of a shard does not depend on the number of workers.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from ammrg.atomic import partial_file
from ammrg.errors import DataError, ReadError
from ammrg.findings import NUM_FINDINGS
from ammrg.imaging.reading import read_film, shrink
from ammrg.text.cleaning import clean
from ammrg.types import Study, View
from datamodules.card import check_records, check_rejected, write_card, write_rejected
from datamodules.format import ROWS_PER_GROUP, SCHEMA, VERSION, shard_name, shard_notes
from datamodules.prepared import load_split, read_card  # noqa: F401
from datamodules.sources.source_reading import SPLITS, Rejection, Section, SourceReading, section_text

STUDIES_PER_SHARD = 128
JPEG_QUALITY = 90
SHORTEST_SIDE, LONGEST_ASPECT = 16, 8
"""Least side in pixels and largest ratio of the sides; a smaller or longer picture is an icon or a strip, no film."""
SHARD = re.compile(r"(?:train|val|test)-\d{5}\.parquet")
PARTIAL = re.compile(
    rf"\.(?:{SHARD.pattern}|card\.json|index\.parquet|rejected\.jsonl|prepare\.json|\w+\.png)\.\d+\.partial"
)
FEW_STUDIES = 64
"""Up to this many studies, starting worker processes takes longer than it saves."""


class Job(NamedTuple):
    """One shard to be written."""

    path: Path
    studies: Sequence[Study]
    """The studies; those of the phantom are drawn in the worker."""
    size: int
    """Most pixels of a film's shorter side."""
    section: Section
    film_folder: Path | None
    """Folder from which unreadable films are named."""
    plan: str
    """Hash of the records and settings that the shard is made from."""


class Encoded(NamedTuple):
    """One study as a row of a shard, with its rejected films."""

    row: dict[str, Any] | None
    """The row; None if no film of the study could be read."""
    digest: str
    """Hash of the row, see :func:`digest_row`."""
    raw_bytes: int
    """Size of all its films in the raw data."""
    rejected: list[Rejection]
    """The films that could not be read."""


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
    """Write all shards of a data set and its card; finished shards of the same records are kept.

    Args:
        reading: the records.
        folder: the prepared folder, made if it is missing.
        dataset: name of the data set, for the card.
        settings: the settings that the content depends on, for the card.
        size: most pixels of a film's shorter side; films are never enlarged.
        section: the section that becomes ``report``.
        workers: number of processes; None = one for each core. The content does not depend on it.
        max_rejected: largest share of rejected films, in [0, 1], that is not an error; checked for missing films first,
            and for all films at the end.

    Returns:
        The card.

    Raises:
        DataError: a patient is in two splits, a study occurs twice, there is nothing to write, or too many films were
            rejected.
    """
    # Phantom records do not exist before they are drawn; write_card checks them.
    known = [studies for studies in reading.studies.values() if isinstance(studies, list)]
    check_records((study.study_id, study.subject_id, study.split) for studies in known for study in studies)
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(".*.partial"):
        if PARTIAL.fullmatch(leftover.name):
            leftover.unlink(missing_ok=True)
    jobs = list(plan_jobs(reading, folder, size, section, int(settings.get("seed") or 0)))
    planned = {job.path for job in jobs}
    for stale in folder.glob("*-*.parquet"):
        if SHARD.fullmatch(stale.name) and stale not in planned:
            stale.unlink()
    # Missing films are told before the others are read, which may take hours.
    write_rejected(folder, reading.rejected)
    check_rejected(folder, reading.rejected, reading.films, max_rejected, unread=True)
    run_jobs(jobs, workers)
    return write_card(folder, [job.path for job in jobs], reading, dataset, settings, max_rejected)


def plan_jobs(reading: SourceReading, folder: Path, size: int, section: Section, seed: int) -> Iterator[Job]:
    """The shards of a data set, in order.

    Training studies are shuffled by the seed: raw data list a patient's studies together, but studies that are later
    read together should not be similar. Drawn studies are in random order already.
    """
    for split in SPLITS:
        studies = reading.studies.get(split, ())
        if split == "train" and isinstance(studies, list):
            studies = [studies[place] for place in np.random.default_rng(seed).permutation(len(studies))]
        for number, start in enumerate(range(0, len(studies), STUDIES_PER_SHARD)):
            part = studies[start : start + STUDIES_PER_SHARD]
            made_from = f"{VERSION}|{size}|{section}|{JPEG_QUALITY}|{ROWS_PER_GROUP}|{described(part)}"
            plan = hashlib.sha256(made_from.encode()).hexdigest()[:16]
            yield Job(folder / shard_name(split, number), part, size, section, reading.film_folder, plan)


def described(studies: Sequence[Study]) -> str:
    """Studies as text for hashing; films are named by the end of their path, so that the raw folder may be moved."""
    if not isinstance(studies, list):
        return repr(studies)
    names = [
        [view.image if isinstance(view.image, bytes) else "/".join(view.image.parts[-4:]) for view in study.views]
        for study in studies
    ]
    return repr([(study._replace(views=()), films) for study, films in zip(studies, names, strict=True)])


def run_jobs(jobs: Sequence[Job], workers: int | None) -> None:
    """Write the missing shards, with a progress bar.

    Raises:
        KeyboardInterrupt: the user stopped it; finished shards stay, and the same call makes the rest.
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
        # Not forked from this process: its threads (Arrow's, torch's) may hold locks that a fork would never release.
        context = get_context("forkserver" if os.name == "posix" else "spawn")
        if os.name == "posix":
            context.set_forkserver_preload([__name__])  # imported once instead of in every worker
        pool = ProcessPoolExecutor(workers, context, initializer=start_worker)
        try:
            futures = {pool.submit(make_shard, job): job for job in todo}
            for future in as_completed(futures):
                future.result()
                progress.advance(task, len(futures[future].studies))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def start_worker() -> None:
    """Make a worker ignore Ctrl-C, which its parent handles, and end when its parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is None:
        return

    def watch(sentinel: int) -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, args=(parent.sentinel,), daemon=True).start()


def is_made(job: Job) -> bool:
    """Whether the shard is whole, made from the same records, and without rejected films, which may be repaired now."""
    if not job.path.exists():
        return False
    try:
        notes = shard_notes(job.path)
        return bool(notes["plan"] == job.plan and not notes["rejected"])
    except (DataError, KeyError):
        return False


def make_shard(job: Job) -> None:
    """Write one shard to a temporary file, then rename it."""
    encoded = [encode_study(study, job.size, job.section, job.film_folder) for study in job.studies]
    notes = {
        "version": VERSION,
        "plan": job.plan,
        "digests": [study.digest for study in encoded if study.row is not None],
        "rejected": [list(rejection) for study in encoded for rejection in study.rejected],
        "films": sum(len(study.row["images"]) if study.row else 0 for study in encoded)
        + sum(len(study.rejected) for study in encoded),
        "raw_bytes": sum(study.raw_bytes for study in encoded),
        "short_sides": short_sides(encoded),
    }
    schema = SCHEMA.with_metadata({"ammrg": json.dumps(notes)})
    table = pa.Table.from_pylist([study.row for study in encoded if study.row is not None], schema=schema)
    with partial_file(job.path) as partial:
        pq.write_table(
            table, partial, compression="snappy", use_dictionary=["split", "source"], row_group_size=ROWS_PER_GROUP
        )


def encode_study(study: Study, size: int, section: Section, film_folder: Path | None) -> Encoded:
    """Make the row of a study: films are decoded, shrunk and stored as grey JPEG; unreadable films are rejected.

    The boxes of a rejected film are dropped; all others stay with their films.

    Raises:
        DataError: the study does not have 14 labels.
    """
    images: list[bytes] = []
    projections: list[str] = []
    rejected: list[Rejection] = []
    place: dict[int, int] = {}
    for number, view in enumerate(study.views):
        try:
            stored = to_jpeg(shrink(checked(read_film(view.image, at_least=size)), size))
        except ReadError as error:
            film = film_name(view, number, film_folder)
            rejected.append(Rejection(study.study_id, film, str(error).removeprefix(f"{view.image}: ")))
            continue
        place[number] = len(images)
        images.append(stored)
        projections.append(view.projection)
    if not images:
        return Encoded(None, "", 0, rejected)
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
    return Encoded(row, digest_row(row), sum(map(raw_bytes, study.views)), rejected)


def film_name(view: View, number: int, folder: Path | None) -> str:
    """A film's path in the folder of the films, or its file name, or ``view 1`` of one without a file."""
    if not isinstance(view.image, Path):
        return f"view {number + 1}"
    if folder is None or not view.image.is_relative_to(folder):
        return view.image.name
    return view.image.relative_to(folder).as_posix()


def checked(film: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the film, if its sides are plausible.

    Raises:
        ReadError: a side is too short, or one side is too many times as long as the other.
    """
    short, long = sorted(film.shape)
    if short < SHORTEST_SIDE or long > LONGEST_ASPECT * short:
        raise ReadError(
            f"{film.shape[1]} x {film.shape[0]} pixels; a film has at least {SHORTEST_SIDE} a side, and no side is "
            f"more than {LONGEST_ASPECT} times as long as the other"
        )
    return film


def raw_bytes(view: View) -> int:
    """Size of a raw film in bytes; 0 if the file is missing."""
    if isinstance(view.image, bytes):
        return len(view.image)
    return view.image.stat().st_size if view.image.is_file() else 0


def to_jpeg(film: NDArray[np.uint8]) -> bytes:
    """A film ``[h w]`` as an 8-bit grey JPEG."""
    file = io.BytesIO()
    Image.fromarray(film).save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


def digest_row(row: Mapping[str, Any]) -> str:
    """sha256 (first 16 hex digits) of the whole content of a row."""
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
