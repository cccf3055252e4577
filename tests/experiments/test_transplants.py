"""Findings put into other reports: every kind equally often, and no report that contradicts itself."""

from __future__ import annotations

import random
from collections import Counter

from ammrg.text.labeler import sentences
from ammrg.text.places import finding_places
from ammrg.text.self_contradictions import self_contradictions
from experiments.language_models.transplants import Transplants

NORMAL = "The heart size is normal. There is no pleural effusion. The lungs are clear."
REPORTS = [
    *[NORMAL] * 20,
    *["There is a small left pleural effusion. The heart size is normal."] * 8,
    "A large right pneumothorax is present. There is no pleural effusion.",
]
LEFT, RIGHT = "There is a small left pleural effusion.", "A large right pneumothorax is present."


def test_each_finding_and_place_is_put_equally_often() -> None:
    rng, transplants = random.Random(0), Transplants(REPORTS)
    found = Counter()
    for _ in range(400):
        text = transplants.into("The heart size is normal.", rng)
        assert "The heart size is normal." in text
        found.update((name, *place.side) for name, place in finding_places(text).items() if name != "No Finding")
    assert set(found) == {("Pleural Effusion", "left"), ("Pneumothorax", "right")}
    assert min(found.values()) > 150  # eight reports tell of one, one of the other


def test_a_denial_makes_way_for_the_finding() -> None:
    rng, transplants = random.Random(0), Transplants([LEFT])
    text = transplants.into("The heart size is normal. There is no pleural effusion. No fracture.", rng)
    assert text == f"The heart size is normal. {LEFT} No fracture."


def test_no_text_contradicts_itself() -> None:
    rng, transplants = random.Random(1), Transplants(REPORTS)
    for report in REPORTS:
        for _ in range(20):
            text = transplants.into(report, rng)
            assert not list(self_contradictions(text))
            assert set(sentences(text)) <= {each for known in REPORTS for each in sentences(known)}


def test_without_findings_a_report_stays_itself() -> None:
    assert Transplants([NORMAL]).into(NORMAL, random.Random(0)) == NORMAL
    assert Transplants([]).into(NORMAL, random.Random(0)) == NORMAL


def test_the_same_seed_gives_the_same_texts() -> None:
    one, two = ([Transplants(REPORTS).into(each, random.Random(7)) for each in REPORTS] for _ in range(2))
    assert one == two
