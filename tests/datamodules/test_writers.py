"""Prepared data in other tools' layouts: R2Gen's annotation is read back equal, and ReXrank's fields are right."""

from __future__ import annotations

import csv
import json
import math

import pytest

from ammrg.errors import DataError, SettingsError
from datamodules.prepared import load_split
from datamodules.sources import csv as csv_table
from datamodules.sources import r2gen
from datamodules.sources.writers import rexrank_fields, write_annotation, write_films, write_rexrank, write_table
from experiments.data.preparation import prepare

SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    out = tmp_path_factory.mktemp("phantom") / "prepared"
    prepare("phantom", None, out, studies={"train": 6, "val": 3, "test": 4}, size=64, seed=3, workers=1)
    return out


@pytest.fixture
def iu(write_iu, tmp_path):
    """Data prepared for the impression, with one study of each kind.

    The kinds are: without findings, without an indication, with the lateral film first, and without a frontal film.
    """
    raw = write_iu(8, {"train": (1, 2, 3, 4), "val": (5,), "test": (6, 7, 8)})
    reports = list(csv.reader((raw / "indiana_reports.csv").open(newline="")))
    reports[6][6] = ""
    reports[7][4] = ""
    with (raw / "indiana_reports.csv").open("w", newline="") as file:
        csv.writer(file).writerows(reports)
    projections = (raw / "indiana_projections.csv").read_text()
    for old, new in (
        ("7_IM-0.dcm.png,Frontal", "7_IM-0.dcm.png,Lateral"),
        ("7_IM-1.dcm.png,Lateral", "7_IM-1.dcm.png,Frontal"),
        ("8_IM-0.dcm.png,Frontal", "8_IM-0.dcm.png,Oblique"),
    ):
        assert old in projections
        projections = projections.replace(old, new)
    (raw / "indiana_projections.csv").write_text(projections)
    annotation = json.loads((raw / "annotation.json").read_text())
    annotation["test"][0]["report"] = ""
    (raw / "annotation.json").write_text(json.dumps(annotation))
    prepare("iu_xray", raw, tmp_path / "iu", section="impression", workers=1)
    return tmp_path / "iu"


def test_an_annotation_comes_back_as_the_same_studies(phantom, tmp_path):
    export = write_annotation(phantom, tmp_path, SPLITS)
    assert export.files == (tmp_path / "annotation.json",)
    reading = r2gen.read(tmp_path)
    assert (export.studies, export.films) == (13, reading.films)
    assert reading.rejected == ()
    for split in SPLITS:
        for study, row in zip(reading.studies[split], load_split(phantom, split), strict=True):
            assert (study.study_id, study.subject_id, study.split) == (row["study_id"], row["subject_id"], split)
            assert study.findings == row["report"]
            assert [view.image.read_bytes() for view in study.views] == row["images"]
    assert not list(tmp_path.rglob("*.partial"))


def test_a_table_comes_back_as_the_same_studies_with_their_projections(phantom, tmp_path):
    export = write_table(phantom, tmp_path, SPLITS)
    assert export.files == (tmp_path / "studies.csv",)
    reading = csv_table.read(tmp_path)
    assert (export.studies, export.films) == (13, reading.films)
    assert reading.rejected == ()
    projections = set()
    for split in SPLITS:
        for study, row in zip(reading.studies[split], load_split(phantom, split), strict=True):
            assert (study.study_id, study.subject_id, study.split) == (row["study_id"], row["subject_id"], split)
            assert study.findings == row["report"]
            assert [view.projection for view in study.views] == list(row["projections"])
            assert [view.image.read_bytes() for view in study.views] == row["images"]
            projections.update(row["projections"])
    assert projections == {"frontal", "lateral"}


def test_an_annotation_can_be_prepared_again(phantom, tmp_path):
    write_annotation(phantom, tmp_path / "export", SPLITS)
    prepare("r2gen", tmp_path / "export", tmp_path / "again", size=64, workers=1)
    for split in SPLITS:
        before, after = ({row["study_id"]: row for row in load_split(f, split)} for f in (phantom, tmp_path / "again"))
        assert before.keys() == after.keys()
        for study_id, row in before.items():
            assert (after[study_id]["subject_id"], after[study_id]["report"]) == (row["subject_id"], row["report"])
            assert len(after[study_id]["images"]) == len(row["images"])


def test_only_the_splits_asked_for(phantom, tmp_path):
    export = write_annotation(phantom, tmp_path / "a", ["test"])
    content = json.loads(export.files[0].read_text())
    assert {split: len(examples) for split, examples in content.items()} == {"train": 0, "val": 0, "test": 4}
    assert len(list((tmp_path / "a" / "images").iterdir())) == 4
    export = write_rexrank(phantom, tmp_path / "b", ["val", "test"])
    assert [path.name for path in export.files] == ["rexrank_val.json", "rexrank_test.json"]
    assert [len(json.loads(path.read_text())) for path in export.files] == [3, 4]


def test_rexrank_has_the_fields_of_its_own_test_files(iu, tmp_path):
    export = write_rexrank(iu, tmp_path / "out", ["test"])
    studies = json.loads(export.files[0].read_text())
    assert (export.studies, export.films, sorted(studies)) == (3, 6, ["CXR6", "CXR7", "CXR8"])
    rows = {row["study_id"]: row for row in load_split(iu, "test")}
    for study_id, fields in studies.items():
        for film, image in zip(fields["image_path"], rows[study_id]["images"], strict=True):
            assert (tmp_path / "out" / "images" / film).read_bytes() == image
    assert studies["CXR6"] == {
        "key_image_path": "CXR6/0.jpg",
        "image_path": ["CXR6/0.jpg", "CXR6/1.jpg"],
        "report": "Findings: None. Impression: Impression 6.",
        "section_findings": None,
        "section_impression": "Impression 6.",
        "split": "test",
        "subject_id": "6",
        "frontal_lateral": ["Frontal", "Lateral"],
        "context": "Indication: Cough",
    }
    assert studies["CXR7"]["report"] == f"Findings: {rows['CXR7']['findings']} Impression: Impression 7."
    assert (studies["CXR7"]["key_image_path"], studies["CXR7"]["context"]) == ("CXR7/1.jpg", "")
    assert studies["CXR8"]["frontal_lateral"] == ["Unknown", "Lateral"]
    assert studies["CXR8"]["key_image_path"] == "CXR8/0.jpg"


def test_rexrank_files_are_strict_json(phantom, tmp_path):
    def refuse(constant: str) -> float:
        raise AssertionError(constant)

    (path,) = write_rexrank(phantom, tmp_path, ["test"]).files
    json.loads(path.read_text(), parse_constant=refuse)
    row = {"findings": "", "impression": " ", "indication": "", "projections": ["lateral"], "subject_id": "s"}
    fields = rexrank_fields(row, ["f.jpg"], "test")
    assert fields["report"] == "Findings: None. Impression: None."
    assert not any(isinstance(value, float) and math.isnan(value) for value in fields.values())


@pytest.mark.parametrize("name", ["a/b", "../up", "..", "C:\\x", "a b", "é.1"])
def test_no_study_id_leaves_the_folder(tmp_path, name):
    row = {"study_id": name, "images": [b"one", b"two"]}
    films = write_films(row, tmp_path / "out")
    (folder,) = (tmp_path / "out" / "images").iterdir()
    assert [(tmp_path / "out" / "images" / film).parent for film in films] == [folder, folder]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert write_films({**row, "study_id": f"{name}_"}, tmp_path / "out") != films


@pytest.mark.parametrize("write", [write_annotation, write_rexrank])
def test_nothing_is_written_over_and_wrong_data_are_named(phantom, tmp_path, write):
    export = write(phantom, tmp_path / "out", ["test"])
    before = export.files[0].read_bytes()
    with pytest.raises(SettingsError, match=rf"{export.files[0].name} exists already; name another folder"):
        write(phantom, tmp_path / "out", ["test"])
    assert export.files[0].read_bytes() == before
    with pytest.raises(SettingsError, match=r"annotation\.json is a file|rexrank_test\.json is a file"):
        write(phantom, export.files[0], ["test"])
    with pytest.raises(DataError, match=r"has no split 'other'; it has train, val, test$"):
        write(phantom, tmp_path / "new", ["other"])
    with pytest.raises(DataError, match=r"contains no prepared data.*make quick"):
        write(tmp_path, tmp_path / "new", ["test"])
    assert not (tmp_path / "new").exists()


def test_an_export_that_was_stopped_has_no_json_and_is_written_again(phantom, tmp_path, monkeypatch):
    from datamodules.sources import writers

    written = []

    def stop(path, content):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(path)
        path.write_bytes(content)

    monkeypatch.setattr(writers, "write_atomically", stop)
    with pytest.raises(KeyboardInterrupt):
        write_annotation(phantom, tmp_path, ["train"])
    assert not (tmp_path / "annotation.json").exists()
    monkeypatch.undo()
    assert write_annotation(phantom, tmp_path, ["train"]).studies == 6
