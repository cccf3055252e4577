"""A film under two patients is found by its content, and never crosses two splits of a table of one's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ammrg.errors import DataError
from datamodules.card import check_copies
from datamodules.copied_films import Copy
from experiments.data.preparation import prepare
from tests.datamodules.conftest import SENTENCES
from tests.datamodules.test_csv import HEADER, write

SPLITS = ("train", "train", "val", "test")


def table(raw: Path) -> Path:
    rows = [(f"{n}.png", SENTENCES[0], f"p{n}", split) for n, split in enumerate(SPLITS)]
    return write(raw, *rows, header=(*HEADER, "split"))


def test_a_copy_in_another_split_is_refused(tmp_path: Path) -> None:
    raw = table(tmp_path / "raw")
    shutil.copy(raw / "images" / "0.png", raw / "images" / "3.png")
    with pytest.raises(DataError, match=r"same film under two patients in two splits.*\(1\): study \S+ \(test\) has a"):
        prepare("csv", raw, tmp_path / "out", size=32, workers=1)


def test_a_copy_in_the_same_split_is_counted(tmp_path: Path) -> None:
    raw = table(tmp_path / "raw")
    shutil.copy(raw / "images" / "0.png", raw / "images" / "1.png")
    assert prepare("csv", raw, tmp_path / "out", size=32, workers=1)["notes"]["films_of_two_patients"] == 1


def test_films_that_differ_and_films_of_one_patient_are_no_copies(tmp_path: Path) -> None:
    assert "films_of_two_patients" not in prepare("csv", table(tmp_path / "raw"), tmp_path / "out", size=32)["notes"]
    header = (*HEADER, "study_id", "split")
    rows = [(f"{n}.png", SENTENCES[0], "p", n, "train") for n in range(2)]
    raw = write(tmp_path / "one", *rows, header=header)
    shutil.copy(raw / "images" / "0.png", raw / "images" / "1.png")
    assert "films_of_two_patients" not in prepare("csv", raw, tmp_path / "of one", size=32)["notes"]


def test_a_published_data_set_is_not_refused() -> None:
    copies = [Copy("2", "test", "1", "train")]
    check_copies(copies, "mimic_cxr")
    with pytest.raises(DataError):
        check_copies(copies, "r2gen")
