"""What changed between two reports is marked in words that a reader can follow, and sides are compared."""

from __future__ import annotations

import re

import pytest

from ammrg.demo.differences import followed_sides, marked_sentences


def kinds(before: str | None, after: str) -> list[list[tuple[str, str]]]:
    return [[tuple(piece) for piece in pieces] for pieces in marked_sentences(before, after)]


def test_a_first_report_has_no_marks() -> None:
    assert kinds(None, "No effusion.  The heart is large.") == [
        [("same", "No effusion.")],
        [("same", "The heart is large.")],
    ]
    assert kinds(None, "") == []


def test_changed_words_stand_after_those_that_are_gone() -> None:
    assert kinds("Small right effusion. Normal heart.", "Small left effusion. Normal heart.") == [
        [("same", "Small"), ("gone", "right"), ("new", "left"), ("same", "effusion.")],
        [("same", "Normal heart.")],
    ]


def test_a_sentence_of_which_little_stayed_is_new_as_a_whole() -> None:
    before, after = "There is a small right pneumothorax.", "Left apical pneumothorax is seen, small in size."
    assert kinds(before, after) == [[("gone", before), ("new", after)]]


def test_a_sentence_that_is_gone_stands_where_it_was() -> None:
    before = "No edema. Large heart. Clear lungs."
    assert kinds(before, "No edema. Clear lungs.")[1] == [("gone", "Large heart."), ("same", "Clear lungs.")]
    assert kinds(before, "No edema. Large heart.")[2] == [("gone", "Clear lungs.")]
    assert kinds(before, "") == [[("gone", before)]]


@pytest.mark.parametrize("before", ["", "No edema.", "Large heart. No edema. Clear lungs. Clear lungs."])
@pytest.mark.parametrize("after", ["", "No edema. Clear bases.", "The heart is large. No edema."])
def test_both_reports_can_be_read_from_the_marks(before: str, after: str) -> None:
    pieces = [piece for sentence in marked_sentences(before, after) for piece in sentence]
    assert " ".join(piece.text for piece in pieces if piece.kind != "gone") == after
    assert " ".join(piece.text for piece in pieces if piece.kind != "new") == before


def test_sides_that_follow_the_films() -> None:
    found = followed_sides("Left effusion. Right upper opacity.", "Right effusion. Left upper opacity.")
    assert {row["outcome"] for row in found["findings"]} == {"flipped"}
    assert {row["finding"]: (row["before"], row["after"]) for row in found["findings"]} == {
        "Lung Opacity": ("right", "left"),
        "Pleural Effusion": ("left", "right"),
    }
    assert found["sentence"] == "Both findings on one side changed sides with the films: the report looks."


@pytest.mark.parametrize(
    ("after", "outcome", "side", "words"),
    [
        ("Left effusion.", "kept", "left", "The finding that is on one side did not change sides .* does not look"),
        ("Bilateral effusions.", "both", "left and right", "The finding that is on one side did not change"),
        ("There is an effusion.", "unsided", "no side", "The finding that is on one side did not change"),
        ("Clear lungs.", "dropped", "not in the report", "The finding that is on one side did not change"),
    ],
)
def test_sides_that_do_not(after: str, outcome: str, side: str, words: str) -> None:
    found = followed_sides("Left effusion.", after)
    assert [(row["outcome"], row["after"]) for row in found["findings"]] == [(outcome, side)]
    assert re.match(words, found["sentence"])


def test_the_findings_that_change_sides_are_counted() -> None:
    before = "Left effusion. Right upper opacity."
    assert followed_sides(before, "Right effusion. Right upper opacity.")["sentence"] == (
        "1 of the 2 findings on one side changed sides with the films: the others do not follow them."
    )
    assert followed_sides(before, before)["sentence"] == (
        "None of the 2 findings on one side changed sides with the films: the report does not look."
    )
    assert followed_sides("Left effusion.", "Right effusion.")["sentence"] == (
        "The finding on one side changed sides with the films: the report looks."
    )


def test_nothing_on_one_side() -> None:
    assert followed_sides("The heart is large.", "The heart is large.") == {
        "findings": [],
        "sentence": "The report puts no finding on one side, so nothing can change sides.",
    }
