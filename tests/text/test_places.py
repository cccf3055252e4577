"""Which words of place belong to which mention, and the places of whole reports."""

from __future__ import annotations

import random

import pytest

from ammrg.findings import FINDINGS
from ammrg.text.labeler import explain, sentence_mentions, sentences
from ammrg.text.places import Place, affirming_sentences, finding_places, mention_places
from datamodules.sources.phantom.plan import plan_study
from datamodules.sources.phantom.sentences import write_report


def place(side: str = "", level: str = "") -> Place:
    return Place(frozenset(side.split()), frozenset(level.split()))


def test_a_finding_has_the_places_of_all_its_affirmed_mentions() -> None:
    text = (
        "Left basilar opacity. There is another opacity in the right apex. Possible right pneumonia. "
        "No left pneumothorax. The heart is enlarged."
    )
    assert finding_places(text) == {"Cardiomegaly": place(), "Lung Opacity": place("left right", "upper lower")}
    assert list(finding_places(text)) == [name for name in FINDINGS if name in finding_places(text)]


@pytest.mark.parametrize(
    "text", ["", "nan", "---", "The lungs are clear.", "left right upper lower", "\x00, ; and with"]
)
def test_texts_without_a_finding_have_no_places(text: str) -> None:
    assert finding_places(text) == {}


def test_the_sentences_that_affirm_a_finding() -> None:
    text = "Left effusion. No edema. Possible right effusion. Edema and a small right effusion. No effusion elsewhere."
    assert affirming_sentences(text, "Pleural Effusion") == ["Left effusion.", "Edema and a small right effusion."]
    assert affirming_sentences(text, "Edema") == ["Edema and a small right effusion."]


def test_mentions_are_those_of_the_labeler_each_once() -> None:
    for index in range(60):
        text = write_report(plan_study("train", index)).findings
        for sentence in sentences(text):
            read = [mention for mention, _ in mention_places(sentence) if mention.finding in FINDINGS]
            assert sorted(read) == sorted(explain(sentence)), sentence


def test_no_mention_is_lost_among_any_words() -> None:
    words = "left right both bases upper lobe lung and or with but while which there is no , : ( port effusion edema"
    draw = random.Random(0)
    for _ in range(400):
        sentence = " ".join(draw.choices(words.split(), k=draw.randint(1, 12)))
        assert sorted(mention for mention, _ in mention_places(sentence)) == sorted(sentence_mentions(sentence)), (
            sentence
        )


def test_a_phrase_that_begins_with_a_cut_belongs_behind_it() -> None:
    for sentence in ("Left effusion and port on the right.", "Left effusion but port on the right."):
        assert finding_places(sentence) == {"Pleural Effusion": place("left"), "Support Devices": place("right")}


def test_a_finding_denied_on_one_side_is_affirmed_on_the_other() -> None:
    right = {"Pneumothorax": place("right")}
    assert finding_places("No pneumothorax on the left, small pneumothorax on the right.") == right
    assert finding_places("No pneumothorax on the left, right pneumothorax is small.") == right
    assert finding_places("No pneumothorax on the left, or right.") == {}
    assert finding_places("No small, unchanged effusion.") == {}


@pytest.mark.parametrize("text", ["Bilat effusions.", "B/L effusions.", "Small effusions, b/l."])
def test_abbreviations_of_bilateral(text: str) -> None:
    assert finding_places(text) == {"Pleural Effusion": place("left right")}


def test_the_reports_of_phantom_1_say_what_their_plans_say() -> None:
    sided = unsided = 0
    for index in range(200):
        plan = plan_study("train", index, version=1)
        found = finding_places(write_report(plan).findings)
        for sign in plan.signs:
            if sign.uncertain or sign.finding in ("Cardiomegaly", "Edema"):
                continue
            side = found[sign.finding].side
            assert side <= {sign.side}
            sided, unsided = sided + bool(side), unsided + (not side)
    assert sided > 3 * unsided


def test_a_long_sentence_takes_no_time() -> None:
    sentence = "left effusion and right opacity, " * 60
    assert len(mention_places(sentence)) == 120
