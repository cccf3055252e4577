"""Reports from a template: one fixed sentence for each finding with its place, and for each part that is normal.

A classifier that knows its findings and their places needs no language model to say so. What a network writes is
therefore compared with this template (the baseline ``stage1_template``). The labeler reads from a template report
exactly the findings and places that it was given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ammrg.errors import DataError
from ammrg.text.place_words import LEVELS, SIDES
from ammrg.text.places import Place, own_place


class _Part(NamedTuple):
    """A part of the chest, in the order of a report."""

    findings: dict[str, str]
    """Finding -> its sentence, with the fields of :func:`_fields`."""
    normal: dict[tuple[str, ...], str]
    """Findings -> the sentence that denies them; the first whose findings are all absent is used."""


_PARTS = (
    _Part(
        {
            "Cardiomegaly": "The heart is enlarged.",
            "Enlarged Cardiomediastinum": "There is widening of the mediastinum{on_side}{in_zone}.",
        },
        {
            ("Cardiomegaly", "Enlarged Cardiomediastinum"): (
                "The heart size and mediastinal contours are within normal limits."
            ),
            ("Cardiomegaly",): "The heart size is normal.",
            ("Enlarged Cardiomediastinum",): "The mediastinal contours are normal.",
        },
    ),
    _Part(
        {
            "Lung Opacity": "There is an opacity{in_lung}.",
            "Lung Lesion": "There is a nodule{in_lung}.",
            "Edema": "There is pulmonary edema{in_lung}.",
            "Consolidation": "There is consolidation{in_lung}.",
            "Pneumonia": "There is pneumonia{in_lung}.",
            "Atelectasis": "There is atelectasis{in_lung}.",
        },
        {
            ("Lung Opacity", "Lung Lesion", "Edema", "Consolidation", "Pneumonia", "Atelectasis"): (
                "The lungs are clear."
            ),
        },
    ),
    _Part(
        {
            "Pleural Effusion": "There is a {side}pleural effusion{in_zone}.",
            "Pneumothorax": "There is a {side}pneumothorax{in_zone}.",
            "Pleural Other": "There is {side}pleural thickening{in_zone}.",
        },
        {
            ("Consolidation", "Pleural Effusion", "Pneumothorax"): (
                "No focal consolidation, pleural effusion, or pneumothorax."
            ),
            ("Pleural Effusion", "Pneumothorax"): "No pleural effusion or pneumothorax.",
            ("Pleural Effusion",): "No pleural effusion.",
            ("Pneumothorax",): "No pneumothorax.",
        },
    ),
    _Part(
        {"Fracture": "There is a {side}rib fracture{in_zone}."},
        {("Fracture",): "The bones are intact."},
    ),
    _Part({"Support Devices": "There is a support device{on_side}{in_zone}."}, {}),
)


def template_report(findings: Mapping[str, Place]) -> str:
    """The template's report of a study.

    Args:
        findings: each present finding of the 13 abnormal ones -> its place; a side or level that is not known is an
            empty set. All others are absent. No place is said of the heart, nor that an effusion is in the lower zone
            (:func:`ammrg.text.places.own_place`).

    Returns:
        Sentences on the heart and mediastinum, lungs, pleura, bones and devices, in this order. For the text,
        :func:`ammrg.text.labeler.label` finds just these findings present and none uncertain, and
        :func:`ammrg.text.places.finding_places` these places.

    Raises:
        DataError: a finding, side or level has another name.
    """
    _check(findings)
    return " ".join(sentence for part in _PARTS for sentence in (*_affirmed(part, findings), *_normal(part, findings)))


def affirming_template(findings: Mapping[str, Place]) -> str:
    """The sentences of :func:`template_report` that affirm these findings, without those on what is normal.

    Raises:
        DataError: a finding, side or level has another name.
    """
    _check(findings)
    return " ".join(sentence for part in _PARTS for sentence in _affirmed(part, findings))


def _check(findings: Mapping[str, Place]) -> None:
    known = {name for part in _PARTS for name in part.findings}
    for name, place in findings.items():
        if name not in known:
            raise DataError(f"template report: found the finding {name!r}, must be one of {', '.join(sorted(known))}.")
        for word in (place.side - set(SIDES)) | (place.level - set(LEVELS)):
            raise DataError(
                f"template report: {name} is placed {word!r}; a side is one of {', '.join(SIDES)}, a level one of "
                f"{', '.join(LEVELS)}."
            )


def _affirmed(part: _Part, findings: Mapping[str, Place]) -> list[str]:
    return [
        sentence.format(**_fields(own_place(name, findings[name])))
        for name, sentence in part.findings.items()
        if name in findings
    ]


def _normal(part: _Part, findings: Mapping[str, Place]) -> list[str]:
    return [text for names, text in part.normal.items() if not findings.keys() & set(names)][:1]


def _fields(place: Place) -> dict[str, str]:
    """The words of a place by the field of a sentence, each with the space that parts it from the rest."""
    one = next(iter(place.side), "") if len(place.side) == 1 else ""
    both = len(place.side) == 2
    levels = _listed([level for level in LEVELS if level in place.level])
    lung = " ".join(word for word in ("both" if both else one, levels, "lungs" if both else "lung") if word)
    return {
        "side": "bilateral " if both else f"{one} " if one else "",
        "on_side": " on both sides" if both else f" on the {one}" if one else "",
        "in_zone": f" in the {levels} zone" if levels else "",
        "in_lung": "" if place == Place() else f" in {lung}" if both else f" in the {lung}",
    }


def _listed(words: list[str]) -> str:
    """``upper, mid and lower``."""
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)
