"""Slips in a table of one's own: what is read all the same, what is refused with its cause, what is warned of."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from ammrg.errors import DataError
from ammrg.text.damaged import is_misread
from datamodules.similar_ids import alike_in_two_splits
from datamodules.sources import csv
from experiments.__main__ import main
from experiments.data.card_warnings import warnings_of
from experiments.data.preparation import prepare
from tests.datamodules.conftest import SENTENCES, write_film
from tests.datamodules.test_csv import HEADER, write


def test_a_path_may_begin_with_the_folder_and_write_its_letters_otherwise(tmp_path: Path) -> None:
    write_film(tmp_path / "images" / unicodedata.normalize("NFD", "Müller.png"), 0)
    write_film(tmp_path / "images" / "b.png", 1)
    (tmp_path / csv.TABLE).write_text(
        f"image,report,patient_id\nMüller.png,{SENTENCES[0]},1\nimages/b.png,{SENTENCES[1]},2\n", encoding="utf-8"
    )
    assert not csv.read(tmp_path).rejected


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_cells_are_separated_by_any_of_four_marks(tmp_path: Path, mark: str) -> None:
    write_film(tmp_path / "images" / "a.png", 0)
    lines = [["image", "report", "patient_id", "split"], ["a.png", "Clear lungs.", "1", "Training"]]
    (tmp_path / csv.TABLE).write_text("\n".join(mark.join(line) for line in lines))
    assert [study.study_id for study in csv.read(tmp_path).studies["train"]] == ["a"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            'image,report,patient_id\na.png,Clear.,1\nb.png,"The heart is large.,2\nc.png,Clear.,3\n',
            "line 3: a quotation mark is wrong in the row that begins there",
        ),
        ('image,report,patient_id\na.png,"A "large" heart.",1\n', "line 2: a quotation mark is wrong"),
        ("image,report,patient_id\na.png,Cl\0ear.,1\n", "line 2 has NUL bytes, which no text has"),
        ("i\0m\0a\0g\0e\0,\0\n", "line 1 has NUL bytes"),
    ],
)
def test_a_broken_file_is_told_with_its_cause_and_line(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / csv.TABLE).write_text(content)
    with pytest.raises(DataError, match=said):
        csv.read(tmp_path)


def test_ids_of_two_splits_are_alike_without_capitals_spaces_and_zeros() -> None:
    patients = {"train": {"P 01", "7", "100"}, "val": {"007"}, "test": {"p1", "10"}}
    assert alike_in_two_splits(patients) == [("7 in train", "007 in val"), ("P 01 in train", "p1 in test")]


@pytest.mark.parametrize(
    ("text", "misread"),
    [("MÃ¼ller", True), ("lungâ€™s", True), ("heart \ufffd", True), ("Müller, à côté, Ångström 50° Çà", False)],
)
def test_letters_of_a_wrong_encoding(text: str, misread: bool) -> None:
    assert is_misread(text) == misread


def test_warnings_come_at_the_end_the_gravest_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        ("a.png", "The heart<br>is large.", "P01", "train"),
        ("b.png", "FINDINGS: Clear lungs.", "P02", "train"),
        ("c.png", "No effusion, doesnâ€™t matter.", "p1", "val"),
    ]
    write(tmp_path / "raw", *rows, header=(*HEADER, "split"))
    assert main(["prepare", "--dataset", "csv", "--raw", str(tmp_path / "raw"), "--out", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    said = [
        "3 of 3 films have no view and are read as frontal ones.",
        "Reports with tags such as <br>, which a model would learn to write: row 2.",
        "Reports with letters that were read in a wrong encoding (Ã¼ in place of ü): row 4.",
        "Reports with titles of sections (IMPRESSION:), which a model would learn to write: row 3.",
        "Patients of two splits whose ids differ by capitals, spaces or zeros alone: P01 in train and p1 in val.",
        "no study in test: training needs train and val, scores need test.",
    ]
    assert all(line.startswith(start) for line, start in zip(lines[-len(said) :], said, strict=True))


@pytest.mark.parametrize("count", [9, 10])
def test_one_patient_and_one_report_for_all_rows_are_told_from_ten_studies_on(tmp_path: Path, count: int) -> None:
    rows = [(f"{i}.png", SENTENCES[0], "clinic", "train", "PA") for i in range(count)]
    card = prepare(
        "csv", write(tmp_path / "raw", *rows, header=(*HEADER, "split", "view")), tmp_path / "out", workers=1
    )
    told = " ".join(warnings_of(card))
    assert ("10 of 10 studies have one and the same report" in told) == (count == 10)
    assert ("All 10 studies are of one patient" in told) == (count == 10)
    assert "have no view" not in told
