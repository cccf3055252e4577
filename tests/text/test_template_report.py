"""The labeler reads from a template report exactly the findings and places that it was given."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ammrg.errors import DataError
from ammrg.findings import ABNORMAL, FINDINGS, NEGATIVE, NO_FINDING, POSITIVE, UNCERTAIN
from ammrg.text.labeler import explain, label
from ammrg.text.place_words import LEVELS, SIDES
from ammrg.text.places import Place, finding_places
from ammrg.text.template_report import template_report

NAMES = [FINDINGS[i] for i in ABNORMAL]


def subsets(words: tuple[str, ...]) -> list[frozenset[str]]:
    return [frozenset(chosen) for count in range(len(words) + 1) for chosen in itertools.combinations(words, count)]


PLACES = [Place(side, level) for side in subsets(SIDES) for level in subsets(LEVELS)]


def readable(name: str, place: Place) -> Place:
    """What a reader may know: the heart is in the midline, an effusion below."""
    if name == "Cardiomegaly":
        return Place()
    return place._replace(level=place.level - {"lower"}) if name == "Pleural Effusion" else place


def check(findings: Mapping[str, Place]) -> None:
    text = template_report(findings)
    labels = dict(zip(FINDINGS, label(text), strict=True))
    assert {name for name in NAMES if labels[name] == POSITIVE} == set(findings), text
    assert UNCERTAIN not in labels.values(), text
    assert (labels["No Finding"] == POSITIVE) == (set(findings) <= {"Support Devices"}), text
    assert finding_places(text) == {name: readable(name, findings[name]) for name in NAMES if name in findings}, text


@pytest.mark.parametrize("name", NAMES)
def test_every_finding_in_every_place(name: str) -> None:
    assert len(PLACES) == 4 * 8
    for place in PLACES:
        check({name: place})


@pytest.mark.parametrize("pair", itertools.combinations(NAMES, 2), ids=" and ".join)
def test_two_findings_never_take_each_others_place(pair: tuple[str, str]) -> None:
    left, right, whole = Place(frozenset({"left"}), frozenset({"upper"})), Place(frozenset({"right"})), PLACES[-1]
    for places in itertools.permutations((Place(), left, right, whole), 2):
        check(dict(zip(pair, places, strict=True)))


@given(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(PLACES)))
@settings(max_examples=300, deadline=None)
def test_any_findings_in_any_places(findings: dict[str, Place]) -> None:
    check(findings)


def test_what_it_says() -> None:
    assert template_report({}) == (
        "The heart size and mediastinal contours are within normal limits. The lungs are clear. "
        "No focal consolidation, pleural effusion, or pneumothorax. The bones are intact."
    )
    both, left = frozenset(SIDES), frozenset({"left"})
    found = {
        "Support Devices": Place(frozenset({"right"}), frozenset({"upper"})),
        "Pleural Effusion": Place(left, frozenset({"lower"})),
        "Pneumonia": Place(both, frozenset({"lower", "upper"})),
        "Atelectasis": Place(left, frozenset(LEVELS)),
        "Cardiomegaly": Place(left),
    }
    assert template_report(found) == (
        "The heart is enlarged. The mediastinal contours are normal. There is pneumonia in both upper and lower lungs. "
        "There is atelectasis in the left upper, mid and lower lung. There is a left pleural effusion. "
        "No pneumothorax. The bones are intact. There is a support device on the right in the upper zone."
    )
    assert template_report(dict(reversed(found.items()))) == template_report(found)


def test_normal_sentences_deny_what_is_absent() -> None:
    for name in NAMES:
        text = template_report({name: Place()})
        denied = {mention.finding for mention in explain(text) if mention.label == NEGATIVE}
        expected = {"Cardiomegaly", "Enlarged Cardiomediastinum", "Pleural Effusion", "Pneumothorax"} - {name}
        together = {"Consolidation", "Pleural Effusion", "Pneumothorax"}
        assert denied == (expected if name in together else expected | {"Consolidation"}), text
        assert ("lungs are clear" in text) == (name not in NAMES[2:8]), text
        assert ("bones are intact" in text) == (name != "Fracture")
    assert label(template_report({}))[NO_FINDING] == POSITIVE


@pytest.mark.parametrize(
    ("findings", "message"),
    [
        ({"No Finding": Place()}, "found the finding 'No Finding', must be one of Atelectasis"),
        ({"Edema": Place(side=frozenset({"middle"}))}, "Edema is placed 'middle'; a side is one of left, right"),
        ({"Edema": Place(level=frozenset({"apex"}))}, "a level one of upper, mid, lower"),
    ],
)
def test_other_names_are_refused(findings: dict[str, Place], message: str) -> None:
    with pytest.raises(DataError, match=message):
        template_report(findings)
