"""Prepared films of another data set with drawn signs and widened hearts, on which a stage 1 can start training.

Each frontal film of a labelled study is painted :data:`PAINTINGS` times: several times in training, once elsewhere.
Each painting is a study of its own, in its patient's split. It has the labels of the film and of the painted signs, and
the boxes of the latter. After the film's own text, its report says which signs were painted and where, in the sentences
of :mod:`ammrg.text.template_report`, so that stage 1 learns from reports where on real films a sign is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, overload

import cv2
import numpy as np

from ammrg.errors import DataError, ReadError, SettingsError
from ammrg.findings import FINDINGS, NO_FINDING, POSITIVE, SUPPORT_DEVICES
from ammrg.imaging.reading import read_film
from ammrg.text.box_places import finding_place_of_boxes
from ammrg.text.template_report import affirming_template
from ammrg.types import Box, Corners, Study, View
from datamodules.prepared import PreparedFolder, Rows
from datamodules.sources.phantom.films import encode_png
from datamodules.sources.phantom.painting import UNLIKE, paint, plan_painting
from datamodules.sources.phantom.registration import fit_anatomy
from datamodules.sources.phantom.signs import PixelBox
from datamodules.sources.source_reading import SPLITS, Section, SourceReading, check_source

PAINTINGS = {"train": 6, "val": 1, "test": 1}
PAINTER = 3
"""Version of the painting: folders of other versions differ from what would be painted now. 2: hearts are widened. 3:
reports say what was painted, and where."""
SIDE = 256
"""Side of a painted film in pixels; films are resized to a square, as every transform does."""

Place = tuple[int, int, int]
"""(row of the split, film of the study, number of the painting), each from 0."""


class PaintedStudies(Sequence[Study]):
    """Studies of one split; each is painted when it is read, so that workers paint them."""

    def __init__(self, folder: str, fingerprint: str, split: str, places: tuple[Place, ...], seed: int) -> None:
        self.folder, self.fingerprint, self.split, self.places, self.seed = folder, fingerprint, split, places, seed

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> Study: ...
    @overload
    def __getitem__(self, index: slice) -> PaintedStudies: ...
    def __getitem__(self, index: int | slice) -> Study | PaintedStudies:
        if isinstance(index, slice):
            return PaintedStudies(self.folder, self.fingerprint, self.split, self.places[index], self.seed)
        row, film, number = self.places[index]
        return paint_study(_rows(self.folder, self.split)[row], film, number, self.seed)

    def __repr__(self) -> str:
        return f"PaintedStudies({self.fingerprint}, {self.split}, {self.places}, seed={self.seed})"


def read(raw: Path, *, source: str | None = None, section: Section = "findings", seed: int = 0) -> SourceReading:
    """List the studies to be painted from a prepared folder.

    Args:
        raw: the prepared folder.
        source: ``painted``, the only layout, or None.
        section: the section that the folder was prepared with.
        seed: seed of the signs and their places.

    Raises:
        SettingsError: the section or layout differs, or the folder's films are already painted.
        DataError: the folder is not prepared, or has no labelled study with a frontal film.
    """
    check_source("painted", source, ("painted",))
    prepared = PreparedFolder(raw)
    card = prepared.card
    if card["dataset"] == "painted":
        raise SettingsError(f"--raw {raw}: its films are already painted; name the folder they were painted from")
    if card["section"] != section:
        raise SettingsError(f"--section {section}: {raw} was prepared with --section {card['section']}; give the same")
    studies = {
        split: PaintedStudies(str(raw.resolve()), card["fingerprint"], split, _places(prepared, split, seed), seed)
        for split in SPLITS
        if split in card["counts"]
    }
    if not any(map(len, studies.values())):
        raise DataError(
            f"--raw {raw}: has no labelled study with a frontal film, and only those are painted; name another folder"
        )
    notes = {
        "painted": "drawn signs and widened hearts on real films; reports are those of the films before, and then say "
        "what was painted: stage 1 only",
        "painted_from": f"{card['dataset']} {card['fingerprint']}",
    }
    return SourceReading(studies, "painted", films=0, notes=notes, restricted=card["restricted"])


def _places(prepared: PreparedFolder, split: str, seed: int) -> tuple[Place, ...]:
    """All paintings of a split; those of training are shuffled, so that paintings of one film are far apart."""
    labels = prepared.index(split).labels
    projections = prepared.mapped(split)["projections"]
    places = [
        (row, film, number)
        for number in range(PAINTINGS[split])
        for row, films in enumerate(projections)
        if not np.isnan(labels[row]).all()
        for film, projection in enumerate(films)
        if projection == "frontal"
    ]
    if split == "train":
        places = [places[i] for i in np.random.default_rng(seed).permutation(len(places))]
    return tuple(places)


@lru_cache(maxsize=len(SPLITS))
def _rows(folder: str, split: str) -> Rows:
    return PreparedFolder(folder).mapped(split)


def paint_study(row: Mapping[str, Any], film: int, number: int, seed: int) -> Study:
    """Paint signs on one film of a study; the result depends on the arguments alone.

    A film that cannot be read is passed on unchanged, for the writer of the shards to reject it with its reason.

    Args:
        row: the study, as prepared.
        film: number of the film in the study, from 0.
        number: number of the painting of this film, from 0.
        seed: seed of the signs and their places.
    """
    name = f"{row['study_id']}-{film + 1}-{number + 1}"
    image, pixels = _paint_film(row["images"][film], (seed, *name.encode()))
    boxes: list[tuple[str, Corners]] = [(finding, _share(box)) for finding, box in pixels]
    painted = affirming_template(
        {name: finding_place_of_boxes(name, [box for other, box in boxes if other == name]) for name, _ in boxes}
    )
    return Study(
        study_id=name,
        subject_id=row["subject_id"],
        split=row["split"],
        views=(View(image, "frontal"),),
        findings=f"{row['findings']} {painted}".strip(),
        impression=f"{row['impression']} {painted}".strip(),
        indication=row["indication"],
        labels=_labels(row["labels"], {finding for finding, _ in boxes}),
        source="painted",
        boxes=tuple(Box(0, FINDINGS.index(finding), *corners) for finding, corners in boxes),
    )


def _share(box: PixelBox) -> Corners:
    x0, y0, x1, y1 = box
    return x0 / SIDE, y0 / SIDE, x1 / SIDE, y1 / SIDE


def _paint_film(image: bytes, root: Sequence[int]) -> tuple[bytes, tuple[tuple[str, PixelBox], ...]]:
    """Paint a prepared film: PNG bytes, and (finding, box in pixels) of each painted sign."""
    try:
        film = read_film(image)
    except ReadError:
        return image, ()
    pixels = np.asarray(cv2.resize(film, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
    fit = fit_anatomy(pixels)
    if fit.likeness < UNLIKE:
        return encode_png(pixels), ()
    painted = paint(pixels, fit, plan_painting(root), root)
    return encode_png(painted.pixels), painted.boxes


def _labels(own: Sequence[float], painted: set[str]) -> tuple[float, ...]:
    """A film's own labels, with 1 for each painted finding, and "No Finding" blank if one of these is a disease."""
    labels = [POSITIVE if name in painted else float(own[i]) for i, name in enumerate(FINDINGS)]
    if painted - {FINDINGS[SUPPORT_DEVICES]}:
        labels[NO_FINDING] = math.nan
    return tuple(labels)
