"""Words of place in sentences labelled by hand, kind by kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from ammrg.errors import DataError
from benchmarks import labelled_sentences
from benchmarks.labelled_places import SENTENCES, main, misread, read

HELD_OUT = SENTENCES.with_name("held_out_places.csv")
ALL = [*read(SENTENCES), *read(HELD_OUT)]
KINDS = list(dict.fromkeys(sentence.kind for sentence in ALL))
KNOWN = {"Left effusion, none on the right."}
"""Read differently today: the labeler takes "none" for a denial of the left effusion."""


def test_there_are_enough_sentences_and_none_twice() -> None:
    assert len(read(SENTENCES)) >= 80
    assert len({sentence.text for sentence in ALL}) == len(ALL)


def test_they_are_not_the_sentences_of_the_labeler() -> None:
    assert not {sentence.text for sentence in ALL} & {
        sentence.text for sentence in labelled_sentences.read(labelled_sentences.SENTENCES)
    }


@pytest.mark.parametrize("kind", KINDS)
def test_each_sentence_is_read_as_it_is_labelled(kind: str) -> None:
    wrong = {sentence.text: misread(sentence) for sentence in ALL if sentence.kind == kind}
    assert {text: found for text, found in wrong.items() if found and text not in KNOWN} == {}


def test_sentences_known_to_be_misread_still_are() -> None:
    assert {sentence.text for sentence in ALL if misread(sentence)} == KNOWN


def test_the_table_counts_what_is_read_differently(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "two.csv"
    path.write_text(
        "kind,sentence,places\n"
        "one side,Left effusion.,Pleural Effusion: right\n"
        "one side,Mild edema.,Edema:\n"
        "no place,No effusion.,Pleural Effusion:\n"
    )
    assert main([str(path)]) == 0
    shown = capsys.readouterr().out
    assert '"right_of": {"one side": [1, 2], "no place": [0, 1], "all": [1, 3]}' in shown
    assert "Pleural Effusion read left, is right" in shown
    assert "Pleural Effusion read not affirmed, is no place" in shown


@pytest.mark.parametrize(("said", "wrong"), [("Effusion: left", "Effusion"), ("Edema: left apical", "apical")])
def test_unknown_words_are_errors(said: str, wrong: str, tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text(f"kind,sentence,places\none side,Edema.,{said}\n")
    with pytest.raises(DataError, match=f"row 2: '{wrong}' is no finding and no word of place"):
        read(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such file; give one with the columns of labelled_places\.csv"):
        read(tmp_path / "none.csv")
