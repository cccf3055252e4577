"""The mining results of a batch, film by film, for the writer of the region memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from ammrg.findings import ABNORMAL, FINDINGS, POSITIVE
from ammrg.memory.regions import MinedFilm, Region
from ammrg.networks.places import elements_of
from ammrg.text.box_places import place_of_box
from ammrg.text.places import Place, affirming_sentences, finding_places, own_place
from ammrg.types import StudyBatch


def mined_films(
    batch: StudyBatch, regions: Sequence[list[Region]], predicted: Tensor, shows: Tensor
) -> list[MinedFilm]:
    """The films of a batch with their regions, in order.

    Args:
        batch: studies with v films in all.
        regions: the regions of each film.
        predicted: bool ``[v 14]``, whether the finding's probability is above its threshold.
        shows: bool ``[v 14]``, whether the finding's map shows a place.
    """
    films: list[MinedFilm] = []
    for film, study in enumerate(batch.study_of_view.tolist()):
        same_study = film > 0 and int(batch.study_of_view[film - 1]) == study
        view = films[-1].view + 1 if same_study else 0
        positive = tuple(i for i in ABNORMAL if batch.labels[study, i] == POSITIVE)
        films.append(
            MinedFilm(
                batch.study_ids[study],
                batch.subject_ids[study],
                view,
                list(_placed(regions[film], batch.reports[study], batch.projections[film])),
                positive,
                tuple(i for i in positive if predicted[film, i]),
                tuple(box._replace(view=view) for box in batch.boxes if box.view == film),
                tuple(i for i in positive if predicted[film, i] and not shows[film, i]),
            )
        )
    return films


def _placed(regions: Sequence[Region], report: str, projection: str) -> Iterator[Region]:
    """The regions with their places and the sentences of the report that affirm their findings.

    The side is that of its box, because a report may name both sides of a finding; a lateral film has none, so there
    the report's counts. The level is the report's, whose words know the patient's lungs, or else that of the box.

    A region on the other side than the only one that the report names is left out: its map was mistaken, and it would
    be recalled as a case of this finding that it does not show.
    """
    places = finding_places(report)
    for region in regions:
        finding = FINDINGS[region.finding]
        said = places.get(finding, Place())
        seen = own_place(finding, place_of_box(region.box)) if projection != "lateral" else Place()
        if said.side and seen.side and not said.side & seen.side:
            continue
        level = said.level if len(said.level) == 1 else seen.level
        place = Place(seen.side or said.side, level)
        yield region._replace(place=elements_of(place), text=" ".join(affirming_sentences(report, finding)))
