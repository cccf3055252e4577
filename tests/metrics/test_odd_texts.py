"""Texts that no system should write, counted one by one."""

from __future__ import annotations

import pytest

from ammrg.metrics.odd_texts import LONG, OddTexts, odd_texts, training_texts

WORDS = "the heart is large and there are effusions with some basal opacity seen in both lungs without any clear change"
LONG_TEXT = " ".join([*WORDS.split()[: LONG - 1], "today"])


def counted(references: list[str], generated: list[str], patients: str | None = None) -> OddTexts:
    return odd_texts(references, generated, list(patients or "abcdefgh"[: len(references)]))


def test_a_copy_is_long_and_of_one_patient_alone() -> None:
    assert counted([LONG_TEXT, "Clear."], [LONG_TEXT.upper(), "Clear."]).copied == 1
    assert counted([LONG_TEXT.removesuffix(" today")], [LONG_TEXT.removesuffix(" today")]).copied == 0
    assert counted([LONG_TEXT] * 2, [LONG_TEXT, "Clear."]).copied == 0  # another patient has it too
    assert counted([LONG_TEXT] * 2, [LONG_TEXT, "Clear."], "aa").copied == 1
    assert counted(["Clear.", LONG_TEXT], [LONG_TEXT, "Clear."]).copied == 0  # another study's


def test_different_training_texts_are_counted_and_those_that_are_references() -> None:
    train = ["Clear.", "clear. ", "Edema.", "nan", "", LONG_TEXT, f"{LONG_TEXT} again"]
    found = training_texts(train, ["CLEAR.", "Effusion.", LONG_TEXT.upper()], ["edema.", "Edema.", "", "Nodule."])
    assert found == (4, 2, 2, 1, 2)
    assert training_texts([], ["Clear."], ["Clear."]) == (0, 0, 0, 0, 0)


def test_a_near_copy_has_three_quarters_of_the_runs() -> None:
    words = LONG_TEXT.split()

    def near(*changed: int) -> tuple[int, int]:
        text = " ".join("other" if place in changed else word for place, word in enumerate(words))
        found = counted([LONG_TEXT, "Clear."], [f"Findings: {text}", "Clear."])
        return found.copied, found.nearly_copied

    assert near() == near(0) == near(10) == near(9, 14) == (0, 1)
    assert near(4, 9, 14) == (0, 0)
    assert counted([LONG_TEXT, "Clear."], [LONG_TEXT, LONG_TEXT])[1:3] == (1, 0)
    assert counted([LONG_TEXT] * 2, [f"Also {LONG_TEXT}"] * 2)[1:3] == (0, 0)  # another patient has it too


def test_a_near_copy_may_have_its_sentences_in_another_order_or_every_tenth_word_changed() -> None:
    text = "The heart is large. A small effusion lies on the left. No pneumothorax. Old fractures of two ribs are seen."
    reversed_text = " ".join(f"{sentence}." for sentence in reversed(text.rstrip(".").split(". ")))
    changed = " ".join("other" if place % 10 == 9 else word for place, word in enumerate(text.split()))
    for said in (reversed_text, changed):
        assert counted([text, "Clear."], [said, "Clear."])[1:3] == (0, 1)


@pytest.mark.parametrize(
    ("text", "tag"), [("<p class='x'>Clear.</p>", "<p class='x'>"), ("a &#39; b", "&#39;"), ("< 3 mm, > 5 mm", "")]
)
def test_tags(text: str, tag: str) -> None:
    found = counted(["Clear.", "<b>Clear."], ["Clear.", text])
    assert (found.tagged, found.tag, found.tagged_references) == (bool(tag), tag, 1)


def test_words_of_no_reference_and_references_of_another_language() -> None:
    found = counted(["Clear lungs.", "Kein Erguss.", ""], ["xyz", "erguss zzz", ""])
    assert (found.reports, found.unknown, found.foreign_references) == (3, 1, 2)


def test_reports_of_another_language_are_not_short_english_ones() -> None:
    found = counted(
        ["No pleural effusion; the lungs are clear."] * 4,
        ["Kein Erguss.", "No pleural effusion.", "", "No pleural ja ja."],
    )
    assert found.foreign_reports == 2
