"""Ids that a spreadsheet has changed into numbers are told, with an example."""

from __future__ import annotations

from pathlib import Path

import pytest

from ammrg.errors import ScoringError
from ammrg.evaluation.predictions import read_lines, read_references, read_systems
from ammrg.evaluation.ranking.submissions import check_same_studies, read_submissions
from ammrg.spreadsheet_damage import ADVICE, changed_ids, looks_rounded


@pytest.mark.parametrize(
    ("damaged", "whole"),
    [
        ("1.2E+10", "12000000001"),
        ("1,2E+10", "12000000001"),
        ("1.23457E+11", "123456789012"),
        ("2E+15", "2000000000000001"),
        ("7", "0007"),
        ("0", "000"),
        ("1234567890123450", "1234567890123456"),
        ("123456789012345000", "00123456789012345678"),
    ],
)
def test_each_kind_of_damage_is_told_whichever_file_has_it(damaged: str, whole: str) -> None:
    for ids, others in (([damaged, "x"], [whole, "y"]), ([whole], [damaged])):
        told = changed_ids(ids, others)
        assert (
            told
            == f" A spreadsheet seems to have changed ids into numbers: {whole!r} has become {damaged!r}. {ADVICE}."
        )


@pytest.mark.parametrize(
    ("ids", "others"),
    [
        (["s1"], ["s01"]),
        (["1.2E+10"], ["13000000001", "1200000000", "study"]),
        (["8"], ["0007"]),
        (["1234567890123456"], ["1234567890123457"]),
        (["1E5"], ["1E6"]),
        ([], ["1"]),
    ],
)
def test_other_ids_are_not(ids: list[str], others: list[str]) -> None:
    assert not changed_ids(ids, others)


def test_ids_with_the_ending_of_a_file_are_told_whichever_file_has_it() -> None:
    for ids, others in ((["s1.dcm", "x"], ["s1", "y"]), (["s1"], ["s1.dcm"])):
        told = changed_ids(ids, others)
        assert told == " 's1.dcm' seems to be 's1': take the ending '.dcm' away from the ids of that file."
    assert not changed_ids(["s1.dcm"], ["s2", "dcm", "s1.png"])


def test_what_looks_rounded() -> None:
    assert looks_rounded("1.2E+10")
    assert not looks_rounded("12000000000")


@pytest.fixture
def references(tmp_path: Path) -> Path:
    path = tmp_path / "references.csv"
    path.write_text("study_id,reference\n" + "".join(f"00{n},Clear.\n" for n in range(1, 5)))
    return path


def reports(path: Path, ids: list[str]) -> Path:
    path.write_text("study_id,generated\n" + "".join(f"{each},Clear.\n" for each in ids))
    return path


def test_messages_on_ids_that_do_not_match_have_it(tmp_path: Path, references: Path) -> None:
    damaged = reports(tmp_path / "a.csv", ["1", "2", "3", "4"])
    good = reports(tmp_path / "b.csv", ["001", "002", "003", "004"])
    half = reports(tmp_path / "c.csv", ["001", "002", "3", "4"])
    known = read_references(references)
    for path, first in ((damaged, "1"), (half, "3")):
        with pytest.raises(ScoringError, match=f"'00{first}' has become '{first}'. {ADVICE}"):
            read_lines(path, known)
    with pytest.raises(ScoringError, match=f"no study is in all files.*'001' has become '1'. {ADVICE}"):
        read_submissions([damaged, good], ["A", "B"], references)
    _, differences = read_submissions([half, good], ["C", "B"], references)
    with pytest.raises(ScoringError, match=f"not the same studies.*'003' has become '3'. {ADVICE}"):
        check_same_studies(differences, tmp_path / "missing_ids.csv")
    for path in (damaged, half):
        path.write_text(path.read_text().replace("generated", "reference,generated").replace("Clear.", "Clear.,Clear."))
    good.write_text(good.read_text().replace("generated", "reference,generated").replace("Clear.", "Clear.,Clear."))
    for path in (damaged, half):
        with pytest.raises(ScoringError, match=f"has become .*{ADVICE}"):
            read_systems(good, [path])


def test_ids_that_rounding_made_equal_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("study_id,reference\n1.2E+10,Clear.\n1.2E+10,Clear.\n")
    with pytest.raises(
        ScoringError, match=f"1.2E\\+10 occurs twice.*A spreadsheet seems to have rounded ids. {ADVICE}"
    ):
        read_references(path)
