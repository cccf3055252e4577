"""What is wrong in a raw folder of MIMIC-CXR is told by file, row and field, and no path leaves the folder."""

from __future__ import annotations

import pytest

from ammrg.errors import DataError, SettingsError
from datamodules.sources import mimic_cxr
from tests.datamodules.mimic_cxr.raw_folder import (
    DICOM,
    LUNGS,
    STUDY,
    SUBJECT,
    add_row,
    annotate,
    edit_annotation,
    reform,
    text_of,
    write_table,
)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dicom_id", "../../../etc/film"),
        ("dicom_id", "0123abcd"),
        ("dicom_id", DICOM.upper()),
        ("study_id", "../59999999"),
        ("study_id", "59999999.0"),
        ("subject_id", "/etc"),
        ("subject_id", "1999999"),
        ("subject_id", "1999999٣"),
        ("split", "dev"),
    ],
)
def test_a_row_of_the_split_table_that_is_not_as_documented(raw, field, value):
    number = len(text_of(raw, "split").splitlines()) + 1
    cells = {"dicom_id": DICOM, "study_id": STUDY, "subject_id": SUBJECT, "split": "train"}
    add_row(raw, "split", **{**cells, field: value})
    with pytest.raises(DataError, match=rf"split\.csv\.gz: row {number}: {field} is ") as caught:
        mimic_cxr.read(raw)
    assert value in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "cells", "message"),
    [
        ("split", {"split": "train"}, "split train here but test before"),
        ("split", {"subject_id": SUBJECT, "dicom_id": DICOM}, f"subject_id {SUBJECT} here but 13000000 before"),
        ("metadata", {"dicom_id": "film"}, "dicom_id is 'film'"),
        ("chexpert", {"study_id": "s5"}, "study_id is 's5'"),
        ("chexpert", {"study_id": STUDY, "Edema": "2"}, "Edema is '2'"),
        ("chexpert", {"Support Devices": "-1.0"}, "study 53000001 occurs twice"),
    ],
)
def test_a_row_that_contradicts_names_file_and_row(raw, phantom, kind, cells, message):
    assert (phantom[-1].study_id, phantom[-1].subject_id, phantom[-1].split) == ("53000001", "13000000", "test")
    number = len(text_of(raw, kind).splitlines()) + 1
    add_row(raw, kind, **cells)
    with pytest.raises(DataError, match=rf"{kind}\.csv\.gz: row {number}: .*{message}"):
        mimic_cxr.read(raw)


@pytest.mark.parametrize(
    ("kind", "column"),
    [("split", "split"), ("split", "subject_id"), ("metadata", "ViewPosition"), ("chexpert", "Lung Lesion")],
)
def test_a_missing_column_is_named(raw, kind, column):
    write_table(raw, kind, text_of(raw, kind).replace(column, "other", 1))
    with pytest.raises(DataError, match=rf"{kind}\.csv\.gz: no column '{column}'"):
        mimic_cxr.read(raw)


@pytest.mark.parametrize(
    "path",
    [
        "../outside.jpg",
        "/p10/p10000032/s50414267/{}.jpg",
        "p10/p10000032/s50414267/film.jpg",
        "p11/p10000032/s50414267/{}.jpg",
        "p10/p10000032/s50414267/{}.png",
        "p10/p10000032/../s50414267/{}.jpg",
    ],
)
def test_no_path_of_the_annotation_leaves_the_tree(raw, phantom, path):
    annotate(raw, phantom, lambda study: study.findings)
    edit_annotation(raw, lambda content: content["val"][0].update(image_path=path.format(DICOM), id="it"))
    with pytest.raises(DataError, match=r"annotation\.json: val.*id it.*(leaves|expected p10/p10000032)"):
        mimic_cxr.read(raw)


def test_a_study_annotated_in_two_splits(raw, phantom):
    annotate(raw, phantom, lambda study: study.findings)
    edit_annotation(raw, lambda content: content["val"].append(content["train"][0]))
    study_id = phantom[0].study_id
    with pytest.raises(
        DataError, match=rf"annotation\.json: val.*study {study_id} has split val here but train before"
    ):
        mimic_cxr.read(raw)


def test_wrong_folders_say_what_is_wrong(raw, tmp_path):
    with pytest.raises(SettingsError, match=r"xml.*one of r2gen, csv"):
        mimic_cxr.read(raw, source="xml")
    with pytest.raises(DataError, match=r"looked for annotation\.json; found files"):
        mimic_cxr.read(raw, source="r2gen")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "readme.txt").write_text("x")
    with pytest.raises(DataError, match=r"annotation\.json, or mimic-cxr-2\.0\.0-split\.csv.*found readme\.txt"):
        mimic_cxr.read(tmp_path / "other")
    (raw / "mimic-cxr-2.1.0-split.csv").write_text("")
    with pytest.raises(DataError, match=r"split tables of versions 2\.0\.0 and 2\.1\.0"):
        mimic_cxr.read(raw)
    (raw / "mimic-cxr-2.1.0-split.csv").unlink()
    (raw / "files").rename(raw / "elsewhere")
    with pytest.raises(DataError, match="looked for the films in files/; found elsewhere"):
        mimic_cxr.read(raw)


def test_wrong_reports_say_what_is_wrong(raw, phantom):
    (report, *_) = sorted((raw / "files").rglob("*.txt"))
    report.write_bytes(b"\n FINDINGS:  \xff\n")
    with pytest.raises(DataError, match=rf"{report.name} is not text in UTF-8"):
        mimic_cxr.read(raw)
    report.write_text(f"\n FINDINGS:  {LUNGS * 50}\n")
    reform(raw, "archive")
    archive = raw / "mimic-cxr-reports.zip"
    content = archive.read_bytes()
    archive.write_bytes(
        content.replace(LUNGS.encode(), LUNGS.upper().encode(), 1)
    )  # the checksum is that of the other file
    with pytest.raises(DataError, match=rf"mimic-cxr-reports\.zip: .*{report.name} cannot be read"):
        mimic_cxr.read(raw)
    archive.write_bytes(content[:200])
    with pytest.raises(DataError, match=r"mimic-cxr-reports\.zip: cannot be read as a zip file"):
        mimic_cxr.read(raw)
    archive.unlink()
    with pytest.raises(DataError, match=rf"none of its {len(phantom)} studies has a report; looked for.*reports\.zip"):
        mimic_cxr.read(raw)
