"""Rewards of single reports, worked by hand, and CIDEr with a fixed idf beside that of whole sets."""

from __future__ import annotations

import math

import pytest

from ammrg.errors import SettingsError
from ammrg.metrics.language import language_statistics
from ammrg.metrics.rewards import REWARDS, check_weights, clinical_f1, f1, guard, rewards, side_f1
from ammrg.metrics.training_cider import TrainingCider
from ammrg.text.cleaning import normalise

TRAINING = [
    "The heart is large. Small left pleural effusion.",
    "The lungs are clear. No pleural effusion.",
    "The heart is normal. The lungs are clear.",
    "Right lower lobe pneumonia. No pleural effusion.",
]
SAMPLES = [
    "The heart is large. Small right pleural effusion.",
    "The lungs are clear.",
    "",
    "Right lower lobe pneumonia. Right lower lobe pneumonia. Unknown words here.",
]


def test_cider_is_that_of_the_whole_set_with_the_same_idf() -> None:
    references, samples = ([normalise(text) for text in column] for column in (TRAINING, SAMPLES))
    expected = language_statistics(references, samples).cider
    score = TrainingCider(references)
    found = [score(*pair) for pair in zip(samples, references, strict=True)]
    assert found == pytest.approx(expected.tolist(), abs=1e-9)
    assert sum(value > 0 for value in found) == 3
    made = rewards(["cider"], TRAINING)["cider"]
    assert [made(*pair) for pair in zip(SAMPLES, TRAINING, strict=True)] == pytest.approx(found, abs=1e-12)


def test_cider_by_hand() -> None:
    """Of two texts, "b" is in both and has no weight; "a" and "a b" are in one: idf log 2."""
    score = TrainingCider(["a b", "b c"])
    assert score.rare == pytest.approx(math.log(2))
    assert score.common == {("b",): 0.0}
    # "a b" of itself: cosine 1 in orders 1 and 2, nothing in 3 and 4
    assert score("a b", "a b") == pytest.approx(10 * 2 / 4)
    # "a": cosine 1 in order 1 only; it has no bigram where the reference has one, so the length differs by 1
    assert score("a", "a b") == pytest.approx(10 / 4 * math.exp(-1 / 72))
    assert score("c", "a b") == 0
    # a reference of one word has no bigram either: the text is longer by 1
    assert score("a c", "c") == pytest.approx(10 / 4 / math.sqrt(2) * math.exp(-1 / 72))


def test_f1_of_sets_by_hand() -> None:
    assert f1(set(), set()) == 1
    assert f1({1}, set()) == f1(set(), {1}) == f1({2}, {1}) == 0
    assert f1({1, 2}, {1, 3, 4}) == pytest.approx(2 * 1 / 5)


def test_clinical_f1_by_hand() -> None:
    reference = "Small left pleural effusion. Right lower lobe pneumonia."
    assert clinical_f1(reference, reference) == 1
    assert clinical_f1("No pleural effusion. The lungs are clear.", reference) == 0
    # one of two findings, none invented
    assert clinical_f1("There is a pleural effusion.", reference) == pytest.approx(2 / 3)
    # nothing found where nothing is to be found, in other words
    assert clinical_f1("No pneumothorax.", "The lungs are clear.") == 1
    # uncertain is not affirmed
    assert clinical_f1("Possible pleural effusion.", "There is a pleural effusion.") == 0
    # a doubt that the reference shares costs nothing, any other one is invented
    assert clinical_f1("Possible pleural effusion.", "Possible small left pleural effusion.") == 1
    assert clinical_f1("Possible pleural effusion.", "The lungs are clear.") == 0
    assert clinical_f1(reference + " Possible pulmonary edema.", reference) == pytest.approx(2 * 2 / (3 + 2))


def test_side_f1_by_hand() -> None:
    reference = "Small left pleural effusion."
    assert side_f1(reference, reference) == 1
    assert side_f1("Small right pleural effusion.", reference) == 0
    assert side_f1("Small pleural effusion.", reference) == 0  # silence costs recall
    assert side_f1("Bilateral pleural effusions.", reference) == pytest.approx(2 * 1 / 3)
    assert side_f1("The lungs are clear.", "No pleural effusion on the left.") == 1
    # a vain doubt is a wrong pair, a shared one is none
    assert side_f1("Possible pneumonia.", "The lungs are clear.") == 0
    assert side_f1("Possible pneumonia.", "Possible pneumonia.") == 1
    assert side_f1(reference + " Possible pneumonia.", reference) == pytest.approx(2 * 1 / (2 + 1))


def test_the_guard_by_hand() -> None:
    five, ten = "a b c d e", "a b c d e f g h i j"
    assert guard(five, five) == 1
    assert guard(ten, five) == pytest.approx(1.5 / 2)
    assert guard(five, ten) == pytest.approx(1.5 / 2)
    assert guard("a b c d e f g", five) == 1  # 7 / 5 is within the tolerance
    assert guard("", five) == 0
    # eight words, six runs of three: abc bcd cda dab abc bcd, of which four are distinct
    assert guard("a b c d a b c d", "a b c d e f g h") == pytest.approx(4 / 6)
    # a reference that repeats itself allows the same
    assert guard("a b c d a b c d", "e f g h e f g h") == 1


def test_a_text_that_lists_everything_many_times_gains_nothing() -> None:
    reference = "Small left pleural effusion. The heart is large."
    honest, hacked = reference, " ".join([reference] * 6)
    assert clinical_f1(hacked, reference) == clinical_f1(honest, reference) == 1
    assert guard(hacked, reference) < 0.1


def test_only_what_is_named_is_made() -> None:
    assert list(rewards(["side_f1", "clinical_f1"], [])) == ["clinical_f1", "side_f1"]
    assert tuple(rewards(REWARDS, TRAINING)) == REWARDS


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"bleu": 1.0}, r"w: found 'bleu', must be among cider, clinical_f1, side_f1"),
        ({"cider": -1.0}, r"w\.cider \(-1\.0\) must not be negative"),
        ({"cider": math.nan}, r"w\.cider \(nan\) must not be negative"),
        ({"cider": 0.0, "side_f1": 0}, r"w: no reward has a weight above 0"),
        ({}, r"w: no reward has a weight above 0"),
    ],
)
def test_weights_that_cannot_be_meant_are_refused(weights: dict[str, float], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        check_weights(weights, "w")
