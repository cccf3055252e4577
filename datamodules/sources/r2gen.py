"""Reader of R2Gen's layout: ``annotation.json`` {train, val, test: [{id, report, image_path, ...}]} and ``images/``."""

from __future__ import annotations

import json
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ammrg.errors import DataError
from ammrg.ids import plain_id
from ammrg.text.blank import text_or_empty
from ammrg.text.labeler import label
from ammrg.types import Study, View
from datamodules.sources.source_reading import (
    SPLITS,
    Rejection,
    Section,
    SourceReading,
    check_source,
    listed,
    with_section,
)

ANNOTATION = "annotation.json"
FIELDS = ("id", "report", "image_path")
GROUPS = {
    **{"train": "train", "val": "val", "test": "test", "training": "train", "testing": "test"},
    **{"valid": "val", "validate": "val", "validation": "val"},
}
MOST_LOOKED_AT = 100_000
"""Files among which a film is looked for that is not where it should be."""
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".jp2")


class Entry(NamedTuple):
    """One example of an annotation."""

    id: str
    split: str
    report: str
    films: tuple[str, ...]
    """Paths as written in the file, relative to the image folder and within it."""
    study_id: str
    subject_id: str


class FilmFolder:
    """Finds film files below a folder by the path that a data set writes.

    The file may have another suffix, or other code points for its accented letters; the path may begin with the folder.
    """

    def __init__(self, raw: Path) -> None:
        """Choose the image folder; films are looked up later.

        Args:
            raw: folder of the raw data; films are in ``images/``, ``images/images_normalized/`` or ``raw`` itself.
        """
        candidates = (raw / "images" / "images_normalized", raw / "images", raw)
        self.folder = next(folder for folder in candidates if folder.is_dir())
        self._by_stem: dict[str, str] | None = None

    def find(self, film: str) -> Path | None:
        """The file of a film, or None if it is missing."""
        exact = self.folder / film
        if exact.is_file():
            return exact
        if self._by_stem is None:
            self._by_stem = {
                stem(os.path.relpath(os.path.join(folder, name), self.folder)): os.path.join(folder, name)
                for folder, _, names in os.walk(self.folder)
                for name in sorted(names)
                if name.lower().endswith(IMAGE_SUFFIXES)
            }
        named = stem(film)
        found = self._by_stem.get(named) or self._by_stem.get(named.removeprefix(f"{self.folder.name}/"))
        return None if found is None else Path(found)


def stem(film: str) -> str:
    """A film's path without an image suffix: ``1_IM-0001-3001.dcm.png`` -> ``1_IM-0001-3001.dcm``.

    Accented letters become one code point each: macOS writes them as two, most other programs as one.
    """
    path = PurePosixPath(unicodedata.normalize("NFC", film).replace("\\", "/"))
    return str(path.with_suffix("")) if path.suffix.lower() in IMAGE_SUFFIXES else str(path)


def once_each(films: Iterable[str]) -> tuple[str, ...]:
    """The films in order without repetitions, whatever their suffixes."""
    found: dict[str, str] = {}
    for film in films:
        found.setdefault(stem(film), film)
    return tuple(found.values())


def check_one_study_each(studies: Mapping[str, Sequence[Study]], where: str) -> int:
    """Count the films that belong to two studies of one split, for the card.

    Args:
        studies: split -> studies with their films.
        where: the file that lists them, for the message.

    Raises:
        DataError: a film is in two splits, so that it would leak into training.
    """
    owners: dict[Path, tuple[str, str]] = {}
    shared = 0
    for split, of_split in studies.items():
        for study in of_split:
            for view in study.views:
                assert isinstance(view.image, Path)
                owner, other = owners.setdefault(view.image, (study.study_id, split))
                shared += owner != study.study_id
                if other != split:
                    raise DataError(
                        f"{where}: film {view.image.name} is in study {owner} ({other}) and in {study.study_id} "
                        f"({split}), which would leak it into training; leave one of them out"
                    )
    return shared


def check_some_there(rejected: Sequence[Rejection], films: int, raw: Path, folder: Path) -> None:
    """Refuse a raw data set none of whose films was found.

    Raises:
        DataError: no film was found; the message names the first, the folder, and where else a film of its name is.
    """
    if films and len(rejected) == films:
        first = rejected[0].film
        found = namesake(first, raw)
        advice = f", but found {found}; move the films, or write their paths as seen from {folder}" if found else ""
        raise DataError(f"{raw}: none of {films} films was found; looked for films such as {first} in {folder}{advice}")


def namesake(film: str, raw: Path) -> Path | None:
    """A file with the name of a film, whatever its folder and suffix, among the first files below ``raw``."""
    name = PurePosixPath(stem(film)).name
    files = (Path(folder, file) for folder, _, files in os.walk(raw) for file in files)
    return next((file for file in islice(files, MOST_LOOKED_AT) if stem(file.name) == name), None)


def leaves(film: str) -> bool:
    """Whether a path is absolute or contains ``..``, so that it may leave its folder, or is empty."""
    parts = PurePosixPath(film.replace("\\", "/")).parts
    return not parts or parts[0] == "/" or ".." in parts or ":" in parts[0]


def inside(film: str, where: str) -> str:
    """Return a relative path unchanged, if it stays within its folder.

    Raises:
        DataError: the path is absolute or contains ``..``; the message starts with ``where``.
    """
    if leaves(film):
        raise DataError(f"{where}: the path {film!r} leaves the image folder; write it relative to that folder")
    return film


def read_annotation(path: Path) -> list[Entry]:
    """Read the examples of an annotation, in its order.

    Raises:
        DataError: the file is not JSON, has no known split, an entry lacks a field, or a path leaves the image folder;
            the message names file, entry and field.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(content, dict) or not GROUPS.keys() & content.keys():
        found = ", ".join(content) if isinstance(content, dict) else type(content).__name__
        raise DataError(f"{path}: looked for the lists {', '.join(SPLITS)}, found {found or 'an empty object'}")
    entries = []
    for group, examples in content.items():
        if group not in GROUPS:
            raise DataError(f"{path}: split {group!r} is not known; expected one of {', '.join(GROUPS)}")
        if not isinstance(examples, list):
            raise DataError(f"{path}: {group} is {type(examples).__name__}, not a list of entries")
        entries += [entry(example, GROUPS[group], f"{path}: {group}[{i}]") for i, example in enumerate(examples)]
    return entries


def entry(example: Any, split: str, where: str) -> Entry:
    """Check one example; every message starts with ``where``.

    Raises:
        DataError: a field is missing or has another type, or a path leaves the image folder.
    """
    if not isinstance(example, dict):
        raise DataError(f"{where} is {type(example).__name__}, not an object with {', '.join(FIELDS)}")
    for field in FIELDS:
        if field not in example:
            name = f" (id {example['id']})" if "id" in example else ""
            raise DataError(f"{where}{name} has no field '{field}'; it has {', '.join(map(str, example)) or 'none'}")
    ids = {}
    for field in (field for field in ("id", "study_id", "subject_id") if field in example):
        value = example[field]
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # programs write integers so in a column with gaps
        if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
            raise DataError(f"{where}: {field} is {value!r}; it must be a name or a whole number")
        ids[field] = plain_id(str(value))
    films = example["image_path"]
    films = [films] if isinstance(films, str) else films
    if not isinstance(films, list) or not films or not all(isinstance(film, str) for film in films):
        raise DataError(f"{where} (id {example['id']}): image_path is {films!r}; it must be a path or a list of paths")
    if not isinstance(example["report"], str):
        raise DataError(f"{where} (id {example['id']}): report is {type(example['report']).__name__}; it must be text")
    study_id = ids.get("study_id", ids["id"])
    return Entry(
        id=ids["id"],
        split=split,
        report=example["report"],
        films=tuple(inside(film, f"{where} (id {example['id']})") for film in films),
        study_id=study_id,
        subject_id=ids.get("subject_id", study_id),
    )


def views_of(
    study_id: str, films: Sequence[str], folder: FilmFolder, projections: dict[str, str]
) -> tuple[tuple[View, ...], list[Rejection]]:
    """The films of a study that were found, and those that are missing.

    Args:
        study_id: id of the study.
        films: paths as the data set writes them.
        folder: folder of the films.
        projections: film stem -> ``frontal`` or ``lateral``; all others are ``unknown``.
    """
    views, missing = [], []
    for film in films:
        file = folder.find(film)
        if file is None:
            missing.append(Rejection(study_id, film, "no such file"))
        else:
            views.append(View(file, projections.get(stem(film), "unknown")))
    return tuple(views), missing


def read(raw: Path, *, source: str | None = None, section: Section = "findings", seed: int = 0) -> SourceReading:
    """Read any R2Gen annotation; examples with the same ``study_id`` become one study with all their films.

    An annotation has one text, which becomes the target section. Labels are the labeler's.

    Args:
        raw: folder with ``annotation.json``; films in ``images/`` or beside it.
        source: ``r2gen``, the only layout, or None.
        section: the target text.
        seed: not used, since an annotation has splits.

    Raises:
        SettingsError: the source is unknown.
        DataError: the annotation or every film is missing, the annotation is not in its format, or a film is in two
            splits.
    """
    check_source("r2gen", source, ("r2gen",))
    path = raw / ANNOTATION
    if not path.is_file():
        raise DataError(f"{raw}: looked for {ANNOTATION}, found {listed(raw)}")
    folder = FilmFolder(raw)
    grouped: dict[str, list[Entry]] = {}
    for example in read_annotation(path):
        grouped.setdefault(example.study_id, []).append(example)
    studies: dict[str, list[Study]] = {split: [] for split in SPLITS}
    rejected: list[Rejection] = []
    without_film = films = twice = 0
    for study_id, examples in grouped.items():
        first = examples[0]
        splits = sorted({example.split for example in examples})
        if len({example.id for example in examples}) < len({(example.id, example.report) for example in examples}):
            raise DataError(f"{path}: id {first.id} occurs twice, with two reports; give each study an id of its own")
        if len(splits) > 1:
            raise DataError(f"{path}: study {study_id} is in {' and '.join(splits)}; give it one split")
        named = once_each(film for example in examples for film in example.films)
        films += len(named)
        twice += sum(len(example.films) for example in examples) - len(named)
        views, missing = views_of(study_id, named, folder, {})
        rejected += missing
        if not views:
            without_film += 1
            continue
        text = text_or_empty(first.report)
        texts = ("", text) if section == "impression" else (text, "")
        studies[first.split].append(
            Study(study_id, first.subject_id, first.split, views, *texts, "", tuple(label(text)), "r2gen")
        )
    check_some_there(rejected, films, raw, folder.folder)
    kept = {split: with_section(of_split, section) for split, of_split in studies.items()}
    shared = check_one_study_each(studies, str(path))
    return SourceReading(
        {split: of_split for split, (of_split, _) in kept.items()},
        "r2gen",
        films,
        tuple(rejected),
        {
            "annotated": dict(Counter(examples[0].split for examples in grouped.values())),
            "without_text": sum(count for _, count in kept.values()),
            "without_film": without_film,
            "films_named_twice": twice,
            "films_of_two_studies": shared,
            "labels": "labeler",
        },
        film_folder=folder.folder,
    )
