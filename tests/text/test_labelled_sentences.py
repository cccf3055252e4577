"""Sentences labelled by hand, kind by kind: what they say is what the labeler reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from ammrg.errors import DataError
from benchmarks.labelled_sentences import SENTENCES, main, misread, read

HELD_OUT = SENTENCES.with_name("held_out_sentences.csv")
ALL = [*read(SENTENCES), *read(HELD_OUT)]
KINDS = list(dict.fromkeys(sentence.kind for sentence in ALL))
KNOWN = {
    "Since the last film the right effusion has resolved and the left persists.",
    "Compared to the last film without consolidation, no effusion.",
}
"""Read otherwise today: "the left" names no finding; a denial speaks of another film."""


def test_each_kind_has_cases_and_look_alikes() -> None:
    assert len(read(SENTENCES)) >= 150
    assert len({sentence.text for sentence in ALL}) == len(ALL)
    for kind in KINDS:
        assert {sentence.look_alike for sentence in ALL if sentence.kind == kind} == {True, False}


@pytest.mark.parametrize("kind", KINDS)
def test_each_sentence_is_read_as_it_is_labelled(kind: str) -> None:
    wrong = {sentence.text: misread(sentence) for sentence in ALL if sentence.kind == kind}
    assert {text: found for text, found in wrong.items() if found and text not in KNOWN} == {}


def test_what_is_known_to_be_misread_still_is() -> None:
    assert {sentence.text for sentence in ALL if misread(sentence)} == KNOWN


def test_the_table_counts_what_is_read_otherwise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "two.csv"
    header = "kind,role,sentence,present,absent,uncertain\n"
    path.write_text(f"{header}change,case,No effusion.,Pleural Effusion,,\nchange,look-alike,Edema.,Edema,,\n")
    assert main([str(path)]) == 0
    shown = capsys.readouterr().out
    assert '"right_of": {"change": {"cases": [0, 1], "look_alikes": [1, 1]}' in shown
    assert "Pleural Effusion read absent, is present" in shown


def test_a_finding_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("kind,role,sentence,present,absent,uncertain\nchange,case,No effusion.,,Effusion,\n")
    with pytest.raises(DataError, match="row 2: 'Effusion' is not a finding"):
        read(path)
