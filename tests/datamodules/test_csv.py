"""A table of one's own: read, refused with its row, prepared and loaded; no patient is ever in two splits."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from ammrg.errors import DataError, SettingsError
from ammrg.findings import FINDINGS
from datamodules.sources import csv
from datamodules.sources.reading import read_source
from datamodules.studies import StudyDataModule
from experiments.__main__ import main
from experiments.data.preparation import DATASETS
from tests.datamodules.conftest import SENTENCES, write_film, write_rows
from tests.dicom_films import dicom_film

HEADER = ("image", "report", "patient_id")


def write(raw: Path, *rows: tuple[object, ...], header: tuple[str, ...] = HEADER) -> Path:
    for number, row in enumerate(rows):
        write_film(raw / "images" / str(row[0]), number)
    write_rows(raw / csv.TABLE, [header, *rows])
    return raw


def test_three_columns_are_enough_and_patients_stay_in_one_split(tmp_path):
    rows = [(f"p{i // 2}/{i}.png", f"{SENTENCES[i % 3]} Number {i}.", f"p{i // 2}") for i in range(200)]
    reading = csv.read(write(tmp_path, *rows))
    splits = defaultdict(set)
    for split, studies in reading.studies.items():
        assert len(studies) > 10
        for study in studies:
            splits[study.subject_id].add(split)
    assert len(splits) == 100
    assert all(len(found) == 1 for found in splits.values())
    assert len(reading.studies["train"]) > 100
    assert reading.restricted
    assert reading.films == 200
    other = csv.read(tmp_path, seed=1)
    assert [study.study_id for study in other.studies["test"]] != [study.study_id for study in reading.studies["test"]]


def test_rows_of_one_study_are_its_films(tmp_path):
    header = (*HEADER, "study_id", "split", "view", "ward")
    reading = csv.read(
        write(
            tmp_path,
            ("a.png", SENTENCES[1], 7, 1.0, "Train", "PA", "x"),
            ("b.png", SENTENCES[1], 7.0, 1, "train", "lateral", "y"),
            ("c.png", "nan", 8, 2, "Validation", "", "z"),
            ("d.png", SENTENCES[0], 9, 3, "test", "oblique", "z"),
            header=header,
        )
    )
    (study,) = reading.studies["train"]
    assert (study.study_id, study.subject_id, study.findings) == ("1", "7", SENTENCES[1])
    assert [view.projection for view in study.views] == ["frontal", "lateral"]
    assert study.labels[FINDINGS.index("Pleural Effusion")] == 1
    assert reading.studies["val"] == []
    assert reading.notes["without_text"] == 1
    assert reading.studies["test"][0].views[0].projection == "unknown"
    (study,) = csv.read(tmp_path, section="impression").studies["train"]
    assert (study.findings, study.impression) == ("", SENTENCES[1])


def test_rows_of_little_use_are_named(tmp_path):
    header = (*HEADER, "study_id", "split")
    rows = [(f"{n}.png", "Clear." if n % 2 else "", n, n, "train") for n in range(24)]
    rows += [("1.png", "Clear.", 1, 1, "train"), ("3.png", "Clear.", 3, 30, "train")]
    notes = csv.read(write(tmp_path, *rows, header=header)).notes
    assert notes["without_text"] == 12
    assert notes["rows_without_text"] == "rows 2, 4, 6, 8, 10, 12, 14, 16, 18, 20 and 2 more"
    assert notes["rows_that_repeat_a_film"] == "row 26"
    assert notes["films_of_two_studies"] == 1
    both = [(f"{n}.png", "Clear." if n > 1 else "", n // 2, n // 2, "train") for n in range(4)]
    assert csv.read(write(tmp_path, *both, header=header)).notes["rows_without_text"] == "rows 2, 3"
    notes = csv.read(write(tmp_path, *rows[1::2][:12], header=header)).notes
    assert (notes["rows_without_text"], notes["rows_that_repeat_a_film"]) == ("none", "none")


def test_a_column_without_any_report_is_named(tmp_path):
    with pytest.raises(DataError, match=r"studies\.csv: column report has a text in no row; write each study's report"):
        csv.read(write(tmp_path, ("a.png", "", 1), ("b.png", "nan", 2)))


def test_what_a_spreadsheet_has_damaged_is_named(tmp_path):
    with pytest.raises(DataError, match=r"row 3: patient_id is '1\.23E\+11', which a spreadsheet has rounded; format"):
        csv.read(write(tmp_path / "ids", ("a.png", "Clear.", "12"), ("b.png", "Clear.", "1.23E+11")))
    with pytest.raises(DataError, match=r"row 2: report is '#REF!', the error of a formula; write the text there"):
        csv.read(write(tmp_path / "texts", ("a.png", "#REF!", "12"), ("b.png", "Clear.", "13")))


def test_unknown_words_for_a_view_are_counted(tmp_path):
    header = (*HEADER, "view")
    views = ("PA", "Seitlich", "AP supine", "Seitlich", "", "lateral")
    rows = [(f"{n}.png", "Clear.", n, view) for n, view in enumerate(views)]
    notes = csv.read(write(tmp_path, *rows, header=header)).notes
    assert notes["views_not_known"] == "3 rows: 'Seitlich' (2), 'AP supine' (1)"
    many = [(f"{n}.png", "Clear.", n, f"view {n}") for n in range(12)]
    notes = csv.read(write(tmp_path, *many, header=header)).notes
    assert notes["views_not_known"].startswith("12 rows: 'view 0' (1), ")
    assert notes["views_not_known"].endswith("'view 9' (1) and 2 more words")
    assert csv.read(write(tmp_path, *rows[:1], header=header)).notes["views_not_known"] == "none"


def test_films_read_as_frontal_for_an_unknown_word_are_told(tmp_path, capsys):
    def said(name: str, view: str) -> str:
        rows = [(f"{n}.png", SENTENCES[0], n, split, view) for n, split in enumerate(("train", "val", "test"))]
        raw = write(tmp_path / name, *rows, header=(*HEADER, "split", "view"))
        command = ["prepare", "--dataset", "csv", "--raw", str(raw), "--size", "32", "--workers", "1"]
        assert main([*command, "--out", str(tmp_path / f"{name}_out")]) == 0
        return capsys.readouterr().out

    told = (
        "view has words that are not known, and these films are read as frontal ones: 3 rows: '[Seitlich]' (3). Write "
    )
    assert told in said("german", "[Seitlich]")
    assert "read as frontal" not in said("english", "lateral")


def test_reports_that_are_not_english_are_told(tmp_path, capsys):
    german = "Herzgröße normal. Kein Pleuraerguss. Lunge frei belüftet."
    texts = (SENTENCES[0], *(f"{german} Nr. {n}." for n in range(4)))
    rows = [(f"{n}.png", text, n, ("train", "val", "test")[n % 3]) for n, text in enumerate(texts)]
    raw = write(tmp_path / "raw", *rows, header=(*HEADER, "split"))
    command = ["prepare", "--dataset", "csv", "--raw", str(raw), "--size", "32", "--workers", "1"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "4 of 5 reports have none of the commonest English words: findings are labelled, and reports scored" in said
    raw = write(
        tmp_path / "english", *[(film, SENTENCES[0], *rest) for film, _, *rest in rows], header=(*HEADER, "split")
    )
    command[4] = str(raw)
    assert main([*command, "--out", str(tmp_path / "other")]) == 0
    assert "English" not in capsys.readouterr().out


def test_columns_that_nobody_reads_are_named(tmp_path):
    assert csv.read(write(tmp_path, ("a.png", "Clear.", 1))).notes["columns_not_read"] == "none"
    header = (*HEADER, "studyid", "Splitt", "exam_date", "view")
    notes = csv.read(write(tmp_path, ("a.png", "Clear.", 1, 2, "val", "2020", "PA"), header=header)).notes
    assert notes["columns_not_read"] == "studyid (did you mean study_id?), Splitt (did you mean split?), exam_date"


@pytest.mark.parametrize("mark", [";", "\t"])
def test_cells_may_be_separated_as_excel_does_elsewhere(tmp_path, mark):
    write_film(tmp_path / "images" / "a.png", 0)
    lines = [mark.join(cells) for cells in (HEADER, ("a.png", '"Clear, no effusion."', "7"))]
    (tmp_path / csv.TABLE).write_text("\r\n".join(lines) + "\r\n", encoding="utf-8-sig")
    studies = [study for found in csv.read(tmp_path).studies.values() for study in found]
    assert [(study.subject_id, study.findings) for study in studies] == [("7", "Clear, no effusion.")]
    (tmp_path / csv.TABLE).write_text("\r\n".join([*lines, mark.join("abcd")]))
    with pytest.raises(DataError, match=r"row 3 has more cells than the header .* that contain (semicolons|tabs)"):
        csv.read(tmp_path)


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        (("image", "report"), [("a.png", "Clear.")], r"studies\.csv: no column 'patient_id'; found image, report"),
        (("image", "text"), [("a.png", "Clear.")], r"no column 'report' and no column 'patient_id'; found image, text"),
        (("Image", "REPORT", "patient_id"), [("a.png", "Clear.", 1)], r"; write Image as image and REPORT as report$"),
        (
            (*HEADER, "report"),
            [("a.png", "Clear.", 1, "Old.")],
            r"studies\.csv: column 'report' occurs twice in the header",
        ),
        (
            HEADER,
            [("a.png", "Clear.", "")],
            r"studies\.csv: row 2: patient_id is empty; every row needs its patient_id",
        ),
        (HEADER, [], r"studies\.csv: has no row below its header"),
        ((*HEADER, "split"), [("a.png", "Clear.", 1, "dev")], r"row 2: split is 'dev'; expected one of train, val"),
        (
            (*HEADER, "study_id"),
            [("a.png", "Clear.", 1, 5), ("b.png", "Clear.", 2, 5)],
            r"row 3: patient_id of study 5 differs from row 2; make the patient_id of a study equal",
        ),
        (
            HEADER,
            [("a.png", "Clear.", 1), ("b.png", "Clear.", 2), ("a.png", "Clear.", 3)],
            r"row 4: film a\.png is patient 3's, and in row 2 patient 1's; correct one of them, or write their sub",
        ),
        (
            (*HEADER, "study_id"),
            [("a.png", "Clear.", 1, 5), ("a.png", "Clear.", 2, 6)],
            r"row 3: film a\.png is patient 2's, and in row 2 patient 1's; correct one of them",
        ),
    ],
)
def test_a_wrong_table_says_where(tmp_path, header, rows, message):
    with pytest.raises(DataError, match=message):
        csv.read(write(tmp_path, *rows, header=header) if rows else write_only(tmp_path, header))


def test_reports_of_a_study_may_differ_in_white_space(tmp_path):
    header = (*HEADER, "study_id", "split")
    texts = ("No effusion. Clear.", "No effusion.\n Clear. ", "No  effusion.\u00a0Clear.")
    rows = [(f"{n}.png", text, 1, 5, "train") for n, text in enumerate(texts)]
    (study,) = csv.read(write(tmp_path, *rows, header=header)).studies["train"]
    assert (study.findings, len(study.views)) == (texts[0], 3)
    rows.append(("3.png", "No effusion.Clear.", 1, 5, "train"))
    with pytest.raises(
        DataError, match=r"row 5: report of study 5 differs from row 2; make the report of a study equal"
    ):
        csv.read(write(tmp_path, *rows, header=header))


def test_all_wrong_rows_are_named_at_once(tmp_path):
    rows = [("a.png", "Clear.", 1, 5, "train"), ("b.png", "Clear.", "", 6, "train"), ("c.png", "Clear.", 3, 7, "dev")]
    rows += [("d.png", "Old.", 1, 5, "train"), ("e.png", "Clear.", 4, 8, "train")]
    with pytest.raises(DataError) as error:
        csv.read(write(tmp_path, *rows, header=(*HEADER, "study_id", "split")))
    assert str(error.value) == (
        f"{tmp_path / csv.TABLE}: 3 rows are wrong:\n"
        "  row 3: patient_id is empty; every row needs its patient_id\n"
        "  row 4: split is 'dev'; expected one of train, val, test, training, testing, valid, validate, validation\n"
        "  row 5: report of study 5 differs from row 2; make the report of a study equal"
    )


@pytest.mark.parametrize(
    ("row", "first"),
    [
        (("{n}.png", "Clear.", ""), "row 2: patient_id is empty; every row needs its patient_id"),
        (
            ("/films/{n}.png", "Clear.", "{n}"),
            "row 2: the path '/films/0.png' leaves the image folder; write it relative to that folder",
        ),
        (
            ("front.png", "Clear.", "{n}"),
            "row 3: film front.png is patient 1's, and in row 2 patient 0's; correct one of them, or write their "
            "subfolders if they are two files",
        ),
    ],
)
def test_rows_in_which_the_same_is_wrong_are_told_in_one_sentence(tmp_path, row, first):
    rows = [tuple(cell.format(n=n) for cell in row) for n in range(13)]
    write_rows(tmp_path / csv.TABLE, [HEADER, *rows, ("other.png", "Clear.", 1)])
    start = int(first.removeprefix("row ")[0])
    with pytest.raises(DataError) as error:
        csv.read(tmp_path)
    assert str(error.value) == (
        f"{tmp_path / csv.TABLE}: {15 - start} rows are wrong:\n  {first} "
        f"(likewise rows {', '.join(map(str, range(start + 1, start + 11)))} and {4 - start} more)"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04rest", r"studies\.csv: an Excel workbook or another zip archive; save the table as CSV UTF-8"),
        (
            "image,report,patient_id".encode("utf-16"),
            r"line 1 is not text in UTF-8; save the table as UTF-8",
        ),
    ],
)
def test_a_file_that_is_no_csv_says_what_to_do(tmp_path, content, message):
    (tmp_path / csv.TABLE).write_bytes(content)
    with pytest.raises(DataError, match=message):
        csv.read(tmp_path)


def write_only(raw: Path, header: tuple[str, ...]) -> Path:
    write_rows(raw / csv.TABLE, [header])
    return raw


def test_paths_and_missing_files_are_named(tmp_path):
    with pytest.raises(SettingsError, match=r"no raw data; name another data set \(--dataset, DATASET= with make\)"):
        read_source("phantom", tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"looked for studies\.csv, found notes\.txt"):
        read_source("csv", tmp_path)
    write_rows(tmp_path / csv.TABLE, [HEADER, ("../a.png", "Clear.", 1)])
    with pytest.raises(DataError, match=r"row 2: the path '\.\./a\.png' leaves the image folder"):
        read_source("csv", tmp_path)
    (tmp_path / csv.TABLE).write_text("image,report,patient_id\na.png,Clear,1\nb.png,Müller,1\n", encoding="cp1252")
    with pytest.raises(DataError, match=r"studies\.csv: line 3 is not text in UTF-8; save the table as UTF-8 \(in Ex"):
        read_source("csv", tmp_path)
    write_rows(tmp_path / csv.TABLE, [HEADER, ("gone.png", "Clear.", 1)])
    with pytest.raises(
        DataError, match=rf"none of 1 films was found; looked for films such as gone\.png in {tmp_path}$"
    ):
        read_source("csv", tmp_path)


@pytest.mark.parametrize(
    ("named", "place", "looked_in"),
    [
        ("a.png", "films/a.png", "."),
        ("p1/a.png", "images/a.png", "images"),
        ("a.png", "images/p1/a.jpg", "images"),
        ("a.png", "a.png", "images"),
    ],
)
def test_films_in_another_place_are_found_for_the_message(tmp_path, named, place, looked_in):
    (tmp_path / looked_in).mkdir(exist_ok=True)
    write_rows(tmp_path / csv.TABLE, [HEADER, (named, "Clear.", 1), ("gone.png", "Clear.", 2)])
    write_film(tmp_path / place, 0)
    with pytest.raises(DataError) as error:
        csv.read(tmp_path)
    folder = tmp_path / looked_in
    assert str(error.value) == (
        f"{tmp_path}: none of 2 films was found; looked for films such as {named} in {folder}, but found "
        f"{tmp_path / place}; move the films, or write their paths as seen from {folder}"
    )


def test_the_command_prepares_it_and_its_configuration_loads_it(tmp_path, capsys):
    rows = [
        (f"{i}.png", f"{SENTENCES[i % 3]} Number {i}.", i // 2, "train" if i < 8 else "val" if i < 12 else "test")
        for i in range(16)
    ]
    raw = write(tmp_path / "raw", *rows, header=(*HEADER, "split"))
    pixels = np.random.default_rng(0).integers(0, 4096, (80, 64), dtype=np.uint16)
    (raw / "images" / "16.dcm").write_bytes(dicom_film(pixels))
    with (raw / csv.TABLE).open("a") as file:
        file.write("16.dcm,Clear lungs.,p16,train\n")
    command = ["prepare", "--dataset", "csv", "--raw", str(raw), "--out", str(tmp_path / "out"), "--workers", "1"]
    assert main(command) == 0, capsys.readouterr().err
    data = yaml.safe_load(Path("experiments/configs/data/csv.yaml").read_text())["data"]
    assert data["class_path"] == f"{StudyDataModule.__module__}.{StudyDataModule.__name__}"
    module = StudyDataModule(str(tmp_path / "out"), image_size=32, batch_size=4, num_workers=0)
    module.setup("fit")
    assert module.card["dataset"] == "csv"
    assert "16.dcm" in module.ids("train")[0]
    assert module.card["restricted"] is True
    (batch, *_) = module.train_dataloader()
    assert batch.images.shape == torch.Size([4, 1, 32, 32])
    held = module.held_out_patients()
    assert held == {"4", "5", "6", "7"}
    assert not held & set(module.ids("train")[1])


def test_a_patient_in_two_splits_stops_the_command_before_a_film_is_read(tmp_path, capsys):
    rows = (("a.png", SENTENCES[0], 1, "train"), ("b.png", SENTENCES[1], 1, "test"))
    raw = write(tmp_path / "raw", *rows, header=(*HEADER, "split"))
    assert main(["prepare", "--dataset", "csv", "--raw", str(raw), "--out", str(tmp_path / "out")]) == 1
    assert "patients in two splits" in (said := capsys.readouterr().err)
    assert "1 in test and train" in said
    assert not list((tmp_path / "out").glob("*.parquet"))


def test_every_data_set_with_a_configuration_has_a_reader(tmp_path):
    assert {"csv", "phantom", "r2gen"} <= set(DATASETS)
    (tmp_path / "empty").mkdir()
    for dataset in set(DATASETS) - {"phantom"}:
        with pytest.raises(DataError):  # not a SettingsError, which says that there is no reader
            read_source(dataset, tmp_path / "empty")


def test_a_table_mended_after_its_folder_is_finished_is_not_taken_for_the_old_one(tmp_path, capsys):
    rows = [(f"{i}.png", f"{SENTENCES[i % 3]} Number {i}.", i, ("train", "val", "test")[i % 3]) for i in range(6)]
    raw = write(tmp_path / "raw", *rows, header=(*HEADER, "split"))
    command = ["prepare", "--dataset", "csv", "--raw", str(raw), "--out", str(tmp_path / "out"), "--workers", "1"]
    table = (raw / csv.TABLE).read_text()
    (raw / csv.TABLE).write_text(table.replace("5.png", "6.png"))
    assert main([*command, "--size", "64"]) == 1
    assert "1 of 6 films were rejected" in capsys.readouterr().err
    (raw / csv.TABLE).write_text(table)
    assert main([*command, "--size", "64"]) == 0, capsys.readouterr().err  # mended before it was finished: it goes on
    (raw / csv.TABLE).write_text(table.replace("Number 5", "Number five"))
    assert main([*command, "--size", "64"]) == 1
    said = capsys.readouterr().err
    assert (
        f"\n  {raw / csv.TABLE} has changed since this folder was prepared\nRemove {tmp_path / 'out'} yourself" in said
    )
    assert "fingerprint" not in said
    assert main([*command, "--size", "32"]) == 1
    assert f"{csv.TABLE} has changed since this folder was prepared\n  size: 64 (kept) -> 32" in capsys.readouterr().err
    elsewhere = [
        str(write(tmp_path / "raw2", *rows[1:], header=(*HEADER, "split"))) if word == str(raw) else word
        for word in command
    ]
    assert main([*elsewhere, "--size", "64"]) == 1
    assert f"\n  raw: {raw} (kept) -> {tmp_path / 'raw2'} (asked)\nRemove" in capsys.readouterr().err
    without_raw = [word for word in command if word not in ("--raw", str(raw))]
    assert main([*without_raw, "--size", "64"]) == 0
    assert "is up to date" in capsys.readouterr().out
