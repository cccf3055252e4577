"""What the page shows of a study and of its description, as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ammrg.demo.asked import Asked
from ammrg.demo.differences import Piece, followed_sides, marked_sentences
from ammrg.demo.pictures import film_picture, map_picture
from ammrg.findings import ABNORMAL, FINDINGS, NEGATIVE, POSITIVE, UNCERTAIN
from ammrg.inference.description import Description
from ammrg.inference.memory_note import MemoryNote, RecalledCase
from ammrg.inference.prepared_study import PreparedStudy
from ammrg.studies.decoding import DecodedStudy
from ammrg.studies.records import StudyView
from ammrg.text.labeler import sentence_mentions
from ammrg.text.shown_places import shown_place
from ammrg.thresholds import figures, is_predicted

SAID = {POSITIVE: "affirmed", NEGATIVE: "denied", UNCERTAIN: "uncertain"}
"""What a sentence says of a finding."""


def study_content(decoded: DecodedStudy, prepared: PreparedStudy) -> dict[str, Any]:
    """Return the films of a study, and what is set aside."""
    films = [
        {"src": film_picture(pixels), "height": pixels.shape[0], "width": pixels.shape[1], **_view(view)}
        for pixels, view in zip(decoded.pixels, prepared.views, strict=True)
    ]
    return {"films": films, "set_aside": [each._asdict() for each in decoded.set_aside]}


def _view(view: StudyView) -> dict[str, Any]:
    """How a film is read."""
    return {
        "name": view.path,
        "projection": view.projection,
        "why": view.why,
        "sides": view.sides,
        "is_read": view.is_read,
    }


def description_content(
    description: Description, asked: Asked, before: tuple[Asked, Description] | None
) -> dict[str, Any]:
    """Return the report of a study with its reasons.

    Args:
        description: of the study.
        asked: how it was asked for.
        before: the description that the page showed before, to mark what changed; None: the first one.
    """
    earlier = None if before is None else before[1]
    sides = None
    if before is not None and before[0].mirrored != asked.mirrored:
        sides = followed_sides(before[1].report, description.report)
    return {
        "asked": asked._asdict(),
        "title": asked.title(),
        "views": [_view(view) for view in description.views],
        "operating_note": description.operating_note,
        "before": None if before is None else before[0].title(),
        "sentences": [
            _sentence(pieces)
            for pieces in marked_sentences(None if earlier is None else earlier.report, description.report)
        ],
        "findings": [_finding(description, name, earlier) for name in _ordered(description)],
        "cases": _cases(description.memory),
        "memory": description.memory.sentence,
        "sides": sides,
        "warnings": [_plain(text) for text in description.warnings],
        "trained_on": description.trained_on,
        "distance": {
            "distances": description.distance.distances,
            "sentence": _plain(description.distance.sentence),
            "warns": description.distance.warns,
        },
        "is_dicom": all(view.dicom is not None for view in description.views) and not description.mirrored,
    }


def _plain(text: str) -> str:
    """A warning without the word that marks it: on the page, its colour does."""
    plain = text.removeprefix("WARNING: ")
    return plain[:1].upper() + plain[1:]


def _sentence(pieces: Sequence[Piece]) -> dict[str, Any]:
    """A sentence with what it says of findings; what is gone says nothing."""
    text = " ".join(piece.text for piece in pieces if piece.kind != "gone")
    said: dict[str, dict[str, None]] = {}
    for mention in sentence_mentions(text):
        if mention.finding in FINDINGS:
            said.setdefault(mention.finding, {})[SAID[mention.label]] = None
    return {
        "pieces": [piece._asdict() for piece in pieces],
        "says": {name: " and ".join(labels) for name, labels in said.items()},
    }


def _ordered(description: Description) -> list[str]:
    """Findings, present ones first, then by how near they are to their thresholds; "No Finding" is the last."""

    def key(name: str) -> tuple[bool, bool, float]:
        value, threshold = description.findings[name], description.thresholds[name]
        return name not in (FINDINGS[i] for i in ABNORMAL), not is_predicted(value, threshold), threshold - value

    return sorted(FINDINGS, key=key)


def _finding(description: Description, name: str, earlier: Description | None) -> dict[str, Any]:
    return {
        "name": name,
        **_probability(description, name),
        "place": shown_place(description.places.get(name, ())),
        "map": map_picture(description.maps[name], description.page.cell_shift),
        "before": None if earlier is None else _probability(earlier, name),
    }


def _probability(description: Description, name: str) -> dict[str, Any]:
    value, threshold = description.findings[name], description.thresholds[name]
    return {
        "value": value,
        "threshold": threshold if math.isfinite(threshold) else None,
        "figures": figures(value, threshold)._asdict(),
        "present": is_predicted(value, threshold),
    }


def _cases(note: MemoryNote) -> list[dict[str, Any]]:
    listed = [(True, case) for case in note.reasons] + [(False, case) for case in note.similar]
    return [_case(case, note, is_reason) for is_reason, case in listed]


def _case(case: RecalledCase, note: MemoryNote, is_reason: bool) -> dict[str, Any]:
    pattern, limits = case.pattern, note.thresholds
    kind = "reports" if pattern.finding is None else "regions"
    return {
        "kind": kind,
        "is_reason": is_reason,
        "query": case.query,
        "finding": pattern.finding,
        "place": shown_place(pattern.place),
        "box": pattern.box,
        "text": pattern.text,
        "owner": case.owner(),
        "weight": pattern.weight,
        "influence": pattern.influence,
        "limit": None if limits is None else getattr(limits, kind),
    }
