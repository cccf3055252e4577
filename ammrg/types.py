"""The types that several rooms share, and the meaning of shape letters.

Shape letters in every docstring:
    b studies in a batch      v films (views) packed over a batch     q queries (14 findings)
    n stored patterns         s state patterns per study              d a width
    h, w film height, width   t text tokens                           k strongest associations kept
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from ammrg.findings import FINDINGS

if TYPE_CHECKING:
    import torch
    from torch import Tensor  # not needed at run time: commands that only read data start without torch


PROJECTIONS = ("frontal", "lateral", "unknown")
"""What the projection of a film may be."""
Corners = tuple[float, float, float, float]
"""x0 y0 x1 y1 of a rectangle, in relative film coordinates: 0 <= x0 < x1 <= 1, y downwards."""


class View(NamedTuple):
    """One film of a study."""

    image: Path | bytes
    """Path of the film's file, or its encoded bytes (PNG or JPEG)."""
    projection: str
    """``frontal``, ``lateral`` or ``unknown``."""


class Box(NamedTuple):
    """The place of a finding on a film, in relative film coordinates: 0 <= x0 < x1 <= 1, y downwards."""

    view: int
    """Index into the study's views."""
    finding: int
    """Index into :data:`ammrg.findings.FINDINGS`."""
    x0: float
    y0: float
    x1: float
    y1: float


class FilmBox(NamedTuple):
    """The place of a finding on a film of known projection, as reports.jsonl has it."""

    finding: str
    """One of :data:`ammrg.findings.FINDINGS`."""
    box: Corners
    projection: str
    """``frontal``, ``lateral`` or ``unknown``."""


class Study(NamedTuple):
    """One examination with all its films and texts, as a source yields it and a shard stores it."""

    study_id: str
    subject_id: str
    split: str
    """``train``, ``val`` or ``test``."""
    views: tuple[View, ...]
    findings: str
    impression: str
    indication: str
    labels: tuple[float, ...]
    """14 values: 1 positive, 0 negative, -1 uncertain, NaN not mentioned; all NaN = unlabelled."""
    source: str
    boxes: tuple[Box, ...] = ()
    """Known places of findings; empty where the data set has none."""


class StudyBatch(NamedTuple):
    """A batch of studies. Films are packed, never padded: a study has one or more."""

    images: Tensor
    """uint8 ``[v 1 h w]``, 8-bit grey; the encoder scales and normalises."""
    study_of_view: Tensor
    """int64 ``[v]``, ascending: the row of the study each film belongs to."""
    labels: Tensor
    """float32 ``[b 14]``, values as in :attr:`Study.labels`."""
    reports: list[str]
    """The target text (the chosen section, cleaned) of each study."""
    study_ids: list[str]
    subject_ids: list[str]
    projections: list[str]
    """Length v."""
    boxes: list[Box]
    """Known places of findings; here ``Box.view`` is an index into the batch's films (0 .. v-1)."""
    indications: Sequence[str] = ()
    """Why each study was made, in the words of its request (empty where unknown); no element: unknown for all."""
    partner: StudyBatch | None = None
    """A study of another patient for each study, in the same order (:mod:`ammrg.partners`); None: not requested."""
    step: Sequence[StudyBatch] = ()
    """All batches of this process in the optimizer step, including this one, without films. The loss of each batch is
    a share of the step's loss. No element: this batch is the whole step."""

    @staticmethod
    def joined(batches: Sequence[StudyBatch]) -> StudyBatch:
        """Return one batch of the studies of several, in order; their films have one size.

        Partners and steps are left out.
        """
        import torch

        studies = list(accumulate((len(each.study_ids) for each in batches), initial=0))
        films = list(accumulate((len(each.projections) for each in batches), initial=0))
        return StudyBatch(
            images=torch.cat([each.images for each in batches]),
            study_of_view=torch.cat([each.study_of_view + at for each, at in zip(batches, studies, strict=False)]),
            labels=torch.cat([each.labels for each in batches]),
            reports=[report for each in batches for report in each.reports],
            study_ids=[name for each in batches for name in each.study_ids],
            subject_ids=[name for each in batches for name in each.subject_ids],
            projections=[name for each in batches for name in each.projections],
            boxes=[
                box._replace(view=box.view + at) for each, at in zip(batches, films, strict=False) for box in each.boxes
            ],
            indications=[text for each in batches for text in (each.indications or [""] * len(each.study_ids))],
        )

    def to(self, device: torch.device) -> StudyBatch:
        """Return the same batch with its films on a device."""
        return self._replace(images=self.images.to(device), study_of_view=self.study_of_view.to(device))

    def exchanged(self) -> StudyBatch:
        """Return the same studies, each with the films of its partner, and without boxes.

        Raises:
            ValueError: the batch came without partners.
        """
        if self.partner is None:
            raise ValueError("this batch has no partners: ask the data module for them (partnered)")
        films = {name: getattr(self.partner, name) for name in ("images", "study_of_view", "projections")}
        return self._replace(**films, boxes=[], partner=None)

    def without_films(self) -> StudyBatch:
        """Return the batch without its pixels: the rest decides the weights of a loss."""
        partner = None if self.partner is None else self.partner.without_films()
        return self._replace(images=self.images[:, :, :0, :0].clone(), partner=partner, step=())

    def film_boxes(self) -> list[list[FilmBox]]:
        """Return the boxes of each study; empty lists where the data set has none."""
        found: list[list[FilmBox]] = [[] for _ in self.study_ids]
        owners = self.study_of_view.tolist()
        for view, finding, *corners in self.boxes:
            x0, y0, x1, y1 = (round(corner, 5) for corner in corners)
            found[owners[view]].append(FilmBox(FINDINGS[finding], (x0, y0, x1, y1), self.projections[view]))
        return found

    def take(self, rows: Sequence[int]) -> StudyBatch:
        """Return a batch of some of its studies (rows, ascending) with their films."""
        place = {row: new for new, row in enumerate(rows)}
        owners = self.study_of_view.tolist()
        films = [film for film, row in enumerate(owners) if row in place]
        moved = {film: new for new, film in enumerate(films)}
        return StudyBatch(
            images=self.images[films],
            study_of_view=self.study_of_view.new_tensor([place[owners[film]] for film in films]),
            labels=self.labels[list(rows)],
            reports=[self.reports[row] for row in rows],
            study_ids=[self.study_ids[row] for row in rows],
            subject_ids=[self.subject_ids[row] for row in rows],
            projections=[self.projections[film] for film in films],
            boxes=[box._replace(view=moved[box.view]) for box in self.boxes if box.view in moved],
            indications=[self.indications[row] for row in rows] if self.indications else (),
            partner=None if self.partner is None else self.partner.take(rows),
        )


class Retrieval(NamedTuple):
    """What each query retrieved from an associative memory."""

    tokens: Tensor
    """``[b q d]``."""
    indices: Tensor
    """int64 ``[b q k]``: rows of the bank, strongest first."""
    weights: Tensor
    """``[b q k]``: their associations in [0, 1], averaged over heads."""


class Attribution(NamedTuple):
    """A stored pattern that was retrieved for a report, and its weight."""

    study_id: str
    """Study of its (first) owner; empty for a disease query, which has no owner."""
    finding: str | None
    """The finding a region was mined for; None for a report."""
    box: Corners | None
    """The region's place on its film; None for a report or a disease query."""
    text: str | None
    """The report's text, or the sentences of a region's finding in its report; None where it is not stored."""
    weight: float
    """Its association, averaged over the 14 queries, in [0, 1]."""
    place: tuple[str, ...] = ()
    """The sides and levels of a region, such as ``("right", "upper")``; empty for a report, or where it is unknown."""
    pattern: int = -1
    """Its row in the memory bank."""
    influence: float | None = None
    """How much more likely, in nats, it makes the report than a random pattern in its place
    (:mod:`ammrg.networks.influence`); None = not measured."""


class GeneratedReport(NamedTuple):
    """A report and its reasons."""

    study_id: str
    text: str
    findings: dict[str, float]
    """Probability of each of the 14 findings, in the order of :data:`ammrg.findings.FINDINGS`."""
    regions: list[Attribution]
    """Retrieved regions, strongest first; empty where the visual memory is off."""
    reports: list[Attribution]
    """Retrieved reports, strongest first; empty where the report memory is off."""
    recalled: Mapping[str, list[Attribution]] = MappingProxyType({})
    """What the query of each abnormal finding above its threshold retrieved from the regions, strongest first."""
    places: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    """Sides and levels of each abnormal finding above its threshold, as stage 1 reads them, such as ``("left",
    "lower")``; a finding whose place is not known is left out."""
