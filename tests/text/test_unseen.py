"""What one film cannot show, in sentences labelled by hand and in whole reports."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ammrg.errors import DataError
from ammrg.text.unseen import sentence_phrases, unseen_kinds
from ammrg.text.unseen_words import KINDS
from benchmarks import labelled_places, labelled_sentences
from benchmarks.labelled_unseen import SENTENCES, main, misread, read
from datamodules.sources.phantom.plan import plan_study
from datamodules.sources.phantom.sentences import write_report

HELD_OUT = SENTENCES.with_name("held_out_unseen.csv")
ALL = [*read(SENTENCES), *read(HELD_OUT)]


def test_there_are_enough_sentences_of_each_kind_and_look_alikes_and_none_twice() -> None:
    assert len({sentence.text for sentence in ALL}) == len(ALL)
    for kind in KINDS:
        assert sum(kind in sentence.unseen for sentence in ALL) >= 12
    assert sum(not sentence.unseen for sentence in read(SENTENCES)) >= 50
    assert not {sentence.text for sentence in ALL} & {
        sentence.text
        for rows in (labelled_sentences, labelled_places)
        for sentence in rows.read(rows.SENTENCES)  # type: ignore[attr-defined]
    }


@pytest.mark.parametrize("kind", list(dict.fromkeys(sentence.kind for sentence in ALL)))
def test_each_sentence_is_read_as_it_is_labelled(kind: str) -> None:
    wrong = {sentence.text: misread(sentence) for sentence in ALL if sentence.kind == kind}
    assert {text: found for text, found in wrong.items() if found} == {}


def test_a_report_speaks_of_what_its_sentences_speak_of() -> None:
    draw = random.Random(0)
    for _ in range(50):
        chosen = draw.sample(ALL, 3)
        together = unseen_kinds(" ".join(sentence.text for sentence in chosen))
        assert together == frozenset().union(*(sentence.unseen for sentence in chosen))


@pytest.mark.parametrize("text", ["", "nan", "---", "The lungs are clear.", "No effusion or pneumothorax.", "\x00 ~~~"])
def test_texts_that_one_film_can_show(text: str) -> None:
    assert unseen_kinds(text) == frozenset()


def test_the_phrases_are_where_they_stand_in_the_sentence() -> None:
    sentence = "UNCHANGED 6 mm nodule; the tube's tip is 4 cm above the carina."
    found = [(sentence[phrase.start : phrase.stop], phrase.kind) for phrase in sentence_phrases(sentence)]
    assert found == [("UNCHANGED", "change"), ("6 mm", "size"), ("4 cm above the carina", "distance")]


def test_a_distance_without_a_tube_is_a_size() -> None:
    assert unseen_kinds("The nodule lies 4 cm above the carina.") == {"size"}


def test_the_phantoms_reports_speak_of_none() -> None:
    assert {unseen_kinds(write_report(plan_study("train", index)).findings) for index in range(200)} == {frozenset()}


def test_a_long_sentence_takes_no_time() -> None:
    assert len(sentence_phrases("no prior film and unchanged 5 mm nodule, " * 60)) == 120


def test_the_table_counts_what_is_read_differently(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "two.csv"
    path.write_text("kind,sentence,unseen\nchange,Stable heart.,change\nchange,Stable lungs.,\nsize,Mass.,size\n")
    assert main([str(path)]) == 0
    shown = capsys.readouterr().out
    assert '"right_of": {"change": [1, 2], "size": [0, 1], "all": [1, 3]}' in shown
    assert "'Stable lungs.': change read as said, is as not said" in shown
    assert "'Mass.': size read as not said, is as said" in shown


def test_unknown_kinds_and_missing_files_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("kind,sentence,unseen\nsize,Mass.,weight\n")
    with pytest.raises(DataError, match="row 2: 'weight' is none of change, size, distance"):
        read(path)
    with pytest.raises(DataError, match=r"no such file; give one with the columns of labelled_unseen\.csv"):
        read(tmp_path / "none.csv")
