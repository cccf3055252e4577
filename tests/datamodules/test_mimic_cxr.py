"""MIMIC-CXR's layouts: the phantom written and read back, tables beside an annotation, and paths within RAW."""

from __future__ import annotations

import csv
import gzip
import inspect
import io
import json
import math
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from ammrg.errors import DataError, SettingsError
from ammrg.findings import FINDINGS
from ammrg.text.labeler import label
from datamodules.mimic_cxr import MIMICCXRDataModule
from datamodules.sources import mimic_cxr, mimic_cxr_reports, mimic_cxr_tables
from datamodules.sources.phantom import generate, layouts
from datamodules.sources.reading import read_source

TABLE = "mimic-cxr-2.0.0-{}.csv.gz"
FORMS = ("packed tables", "plain tables", "archive", "archive a folder higher", "mimic-cxr-reports/files", "reports")
LUNGS = "The lungs are clear."
SUBJECT, STUDY, DICOM = "19999999", "59999999", "-".join(["0123abcd"] * 5)


@pytest.fixture(scope="module")
def phantom():
    return list(generate({"train": 5, "val": 2, "test": 2}, seed=2, size=64))


@pytest.fixture
def raw(phantom, tmp_path):
    layouts.write_mimic_cxr(tmp_path / "raw", phantom)
    return tmp_path / "raw"


def text_of(raw, kind):
    return gzip.decompress((raw / TABLE.format(kind)).read_bytes()).decode()


def write_table(raw, kind, text):
    (raw / TABLE.format(kind)).write_bytes(gzip.compress(text.encode()))


def add_row(raw, kind, **cells):
    """Add a row; cells that are not given are copied from the last row."""
    rows = list(csv.DictReader(io.StringIO(text_of(raw, kind))))
    line = ",".join(cells.get(name, value) for name, value in rows[-1].items())
    write_table(raw, kind, f"{text_of(raw, kind)}{line}\n")


def add_study(raw, report, study_id=STUDY, subject_id=SUBJECT, split="train"):
    """Add a study with one film that only the split table lists."""
    patient = raw / "files" / f"p{subject_id[:2]}" / f"p{subject_id}"
    (patient / f"s{study_id}").mkdir(parents=True)
    Image.new("L", (40, 40), 90).save(patient / f"s{study_id}" / f"{DICOM}.jpg")
    (patient / f"s{study_id}.txt").write_text(report)
    add_row(raw, "split", dicom_id=DICOM, study_id=study_id, subject_id=subject_id, split=split)


def reform(raw, form):
    """The same folder with plain tables, or with its reports elsewhere."""
    if form == "plain tables":
        for path in raw.glob("*.gz"):
            path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
            path.unlink()
    elif form != "packed tables":
        archive = zipfile.ZipFile(raw / "mimic-cxr-reports.zip", "w") if form.startswith("archive") else None
        for path in sorted((raw / "files").rglob("*.txt")):
            name = path.relative_to(raw / "files")
            if archive is None:
                (raw / form / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, raw / form / name)
            else:
                archive.write(path, ("mimic-cxr-reports/files/" if "higher" in form else "files/") + str(name))
            path.unlink()
        if archive is not None:
            archive.close()


def annotate(raw, phantom, text=str, **fields):
    """Write R2Gen's annotation of the phantom: one example for each film, with ``text(study)`` as its report."""
    content = {"train": [], "val": [], "test": []}
    for study in phantom:
        for view in sorted((raw / "files").glob(f"*/*/s{study.study_id}/*.jpg")):
            example = {
                "id": view.stem,
                "study_id": int(study.study_id),
                "subject_id": int(study.subject_id),
                "report": text(study),
                "image_path": [str(view.relative_to(raw / "files"))],
                "split": study.split,
            }
            content[study.split].append({**example, **fields})
    (raw / "annotation.json").write_text(json.dumps(content))


def edit_annotation(raw, change):
    content = json.loads((raw / "annotation.json").read_text())
    change(content)
    (raw / "annotation.json").write_text(json.dumps(content))


def by_id(reading):
    return {study.study_id: study for of_split in reading.studies.values() for study in of_split}


def same(labels):
    return pytest.approx(tuple(labels), nan_ok=True)


@pytest.mark.parametrize("form", FORMS)
def test_the_phantom_comes_back(raw, phantom, form):
    reform(raw, form)
    reading = read_source("mimic_cxr", raw)
    assert reading.source == "csv"
    back = by_id(reading)
    assert sorted(back) == [study.study_id for study in phantom]
    for study in phantom:
        other = back[study.study_id]
        assert other[:3] == study[:3]  # ids and split
        assert (other.findings, other.impression, other.indication) == (
            study.findings,
            study.impression,
            study.indication,
        )
        assert other.labels == same(study.labels)
        assert [view.projection for view in other.views] == [view.projection for view in study.views]
        assert other in reading.studies[study.split]
    assert reading.films == sum(len(study.views) for study in phantom)
    assert not reading.rejected
    suffix = "" if form == "plain tables" else ".gz"
    assert reading.notes["split"] == f"mimic-cxr-2.0.0-split.csv{suffix}"
    assert reading.notes["labels"] == f"mimic-cxr-2.0.0-chexpert.csv{suffix}, else the labeler"
    assert reading.notes["labels_by_labeler"] == 0
    assert reading.notes["labels_by_table_read_from"] == {"impression": len(phantom)}


def test_the_films_are_those_drawn(raw, phantom):
    back = by_id(mimic_cxr.read(raw))
    films = [
        (np.asarray(Image.open(io.BytesIO(drawn.image))).astype(int), np.asarray(Image.open(read.image)).astype(int))
        for study in phantom
        for drawn, read in zip(study.views, back[study.study_id].views, strict=True)
    ]
    losses = [np.abs(drawn - read).mean() for drawn, read in films]
    others = [np.abs(films[k][0] - films[k - 1][1]).mean() for k in range(len(films))]
    assert max(losses) < 2
    assert min(others) > 2 * max(losses)


def test_the_section_is_chosen(raw, phantom):
    add_study(raw, " INDICATION:  Cough.\n \n IMPRESSION:  Clear.\n")
    assert STUDY not in by_id(mimic_cxr.read(raw))
    reading = mimic_cxr.read(raw, section="impression")
    assert by_id(reading)[STUDY].impression == "Clear."
    assert len(by_id(reading)) == len(phantom) + 1
    assert mimic_cxr.read(raw).notes["without_text"] == 1


def test_labels_of_the_table_else_of_the_labeler(raw, phantom):
    add_study(raw, f"\n FINDINGS:  {LUNGS} There is a left pleural effusion.\n")
    reading = mimic_cxr.read(raw)
    study = by_id(reading)[STUDY]
    assert dict(zip(FINDINGS, study.labels, strict=True))["Pleural Effusion"] == 1.0
    assert study.labels == same(label(study.findings))
    assert reading.notes["labels_by_labeler"] == 1
    assert reading.notes["labels_by_table_read_from"] == {"impression": len(phantom)}

    # NegBio's table is read if CheXpert's is missing.
    first = phantom[0].study_id
    cells = {name: "-1.0" if name == "Fracture" else "" for name in FINDINGS}
    header = text_of(raw, "chexpert").splitlines()[0]
    row = {"subject_id": phantom[0].subject_id, "study_id": first, **cells}
    write_table(raw, "negbio", f"{header}\n{','.join(row[name] for name in header.split(','))}\n")
    assert by_id(mimic_cxr.read(raw))[first].labels == same(phantom[0].labels)
    (raw / TABLE.format("chexpert")).unlink()
    reading = mimic_cxr.read(raw)
    given = dict(zip(FINDINGS, by_id(reading)[first].labels, strict=True))
    assert given.pop("Fracture") == -1.0
    assert all(math.isnan(value) for value in given.values())
    assert reading.notes["labels"] == "mimic-cxr-2.0.0-negbio.csv.gz, else the labeler"
    (raw / TABLE.format("negbio")).unlink()
    reading = mimic_cxr.read(raw)
    assert reading.notes["labels"] == "the labeler"
    assert reading.notes["labels_by_labeler"] == len(phantom) + 1
    assert by_id(reading)[first].labels == same(label(phantom[0].findings))


@pytest.mark.parametrize(
    ("position", "projection"),
    [
        *((position, "frontal") for position in ("PA", "AP", "ap", "AP AXIAL", "PA LLD")),
        *((position, "lateral") for position in ("LATERAL", "LL", "Lateral")),
        *((position, "unknown") for position in ("", "LAO", "SWIMMERS")),
    ],
)
def test_projections(raw, position, projection):
    add_study(raw, f"\n FINDINGS:  {LUNGS}\n")
    add_row(raw, "metadata", dicom_id=DICOM, study_id=STUDY, subject_id=SUBJECT, ViewPosition=position)
    assert by_id(mimic_cxr.read(raw))[STUDY].views[0].projection == projection


def test_without_metadata_projections_are_unknown(raw):
    (raw / TABLE.format("metadata")).unlink()
    reading = mimic_cxr.read(raw)
    assert {view.projection for study in by_id(reading).values() for view in study.views} == {"unknown"}
    assert reading.notes["projections"] == "no metadata table: unknown"
    assert reading.notes["without_frontal"] == len(by_id(reading))


def test_what_is_missing_is_set_aside_and_counted(raw, phantom):
    two = next(study for study in phantom if len(study.views) == 2)
    one = next(study for study in phantom if len(study.views) == 1)
    mute = next(study for study in phantom if study not in (one, two))
    films = {study.study_id: sorted((raw / "files").glob(f"*/*/s{study.study_id}/*.jpg")) for study in phantom}
    kept = by_id(mimic_cxr.read(raw))[two.study_id].views[1].image
    gone = next(film for film in films[two.study_id] if film != kept)
    gone.unlink()
    films[one.study_id][0].unlink()
    next((raw / "files").glob(f"*/*/s{mute.study_id}.txt")).unlink()
    (raw / "files" / "p10").mkdir()
    (raw / "files" / "p10" / "s50000001.txt").write_text("A report without its study.")
    reading = mimic_cxr.read(raw)
    back = by_id(reading)
    assert sorted(back) == sorted(s.study_id for s in phantom if s not in (one, mute))
    assert [view.image for view in back[two.study_id].views] == [kept]
    assert {(rejection.study_id, Path(rejection.film).stem, rejection.reason) for rejection in reading.rejected} == {
        (two.study_id, gone.stem, "no such file"),
        (one.study_id, films[one.study_id][0].stem, "no such file"),
    }
    assert {key: reading.notes[key] for key in ("without_report", "without_film", "without_text")} == {
        "without_report": 1,
        "without_film": 1,
        "without_text": 0,
    }
    assert reading.notes["without_frontal"] == 1


def test_the_annotation_comes_first_and_the_tables_add_what_it_lacks(raw, phantom):
    annotate(raw, phantom, lambda study: f"Annotated. {study.findings}")
    moved = phantom[0].study_id
    edit_annotation(raw, lambda content: content["test"].append(content["train"].pop(0)))
    reading = mimic_cxr.read(raw)
    assert reading.source == "r2gen"
    back = by_id(reading)
    assert back[moved].split == "test"  # as annotated, not as the split table says
    for study in phantom:
        other = back[study.study_id]
        assert other.findings == f"Annotated. {study.findings}"
        assert (other.impression, other.indication) == (study.impression, study.indication)
        assert other.labels == same(study.labels)
        assert sorted(view.projection for view in other.views) == sorted(view.projection for view in study.views)
        assert (other.subject_id, other.source) == (study.subject_id, "r2gen")
    assert reading.notes["split"] == "annotation.json"
    assert reading.notes["text"] == "annotation.json, the rest from the reports"
    assert by_id(mimic_cxr.read(raw, section="impression"))[moved].impression.startswith("Annotated.")
    assert mimic_cxr.read(raw, source="csv").source == "csv"
    assert by_id(mimic_cxr.read(raw, source="csv"))[moved].split == "train"


def test_an_annotation_alone(raw, phantom):
    annotate(raw, phantom, lambda study: study.findings)
    # Not every annotation has id fields, and some paths start with files/.
    edit_annotation(
        raw,
        lambda content: [
            content[split].__setitem__(
                k, {"id": e["id"], "report": e["report"], "image_path": "files/" + e["image_path"][0]}
            )
            for split in content
            for k, e in enumerate(content[split])
        ],
    )
    for path in (*raw.glob("*.gz"), *raw.rglob("*.txt")):
        path.unlink()
    (raw / "files").rename(raw / "images")
    reading = mimic_cxr.read(raw)
    back = by_id(reading)
    assert {study_id: (s.subject_id, len(s.views)) for study_id, s in back.items()} == {
        study.study_id: (study.subject_id, len(study.views)) for study in phantom
    }
    assert back[phantom[0].study_id].labels == same(label(phantom[0].findings))
    assert {study.indication for study in back.values()} == {""}
    assert reading.notes["labels"] == "the labeler"
    assert reading.notes["without_report"] == len(phantom)
    assert reading.films == sum(len(study.views) for study in phantom)


def test_wrapped_lines_are_folded_and_the_indication_is_one_paragraph():
    report = "\n HISTORY:  Cough and\n fever.\n \n Lungs are clear.\n \n FINDINGS: \n \n No\n edema.\n \n Stable.\n"
    texts = mimic_cxr_reports.texts_of(report, STUDY)
    assert texts == ("No edema. Stable.", "", "Cough and fever.", "findings")
    both = mimic_cxr_reports.texts_of("\n HISTORY:  Old.\n INDICATION:  New.\n FINDINGS:  Clear.\n", STUDY)
    assert both.indication == "New."
    assert mimic_cxr_reports.texts_of("\n HISTORY:  Old.\n INDICATION: \n", STUDY).indication == "Old."


class TestSpecialCases:
    REPORT = "\n EXAMINATION:  Clear lungs.\n \n INDICATION:  Cough.\n \n IMPRESSION:  See above.\n"

    def test_the_shipped_table(self):
        table = json.loads(mimic_cxr_reports.SPECIAL_CASES.read_text())
        assert "MIT" in table["license"]
        assert "MIT-LCP/mimic-cxr" in table["source"]
        assert (len(table["sections"]), len(table["characters"])) == (23, 31)
        assert not table["sections"].keys() & table["characters"].keys()
        assert all(
            mimic_cxr_tables.IDS["study_id"].fullmatch(study_id) for study_id in mimic_cxr_reports.special_cases()
        )
        assert all(0 <= start <= stop for start, stop in table["characters"].values())

    def test_a_forced_section_is_the_findings(self):
        assert mimic_cxr_reports.special_cases()["59363654"] == "examination"
        texts = mimic_cxr_reports.texts_of(self.REPORT, "59363654")
        assert texts == ("Clear lungs.", "", "", "special case")
        assert mimic_cxr_reports.texts_of(self.REPORT, STUDY).impression == "See above."
        assert mimic_cxr_reports.texts_of("\n IMPRESSION:  Clear.\n", "59363654").findings == ""

    def test_forced_characters_are_the_findings(self):
        start, stop = mimic_cxr_reports.special_cases()["50196495"]
        report = ("x" * start + "Clear lungs.").ljust(stop) + " IMPRESSION:  Not this.\n"
        texts = mimic_cxr_reports.texts_of(report, "50196495")
        assert texts == ("Clear lungs.", "", "", "special case")

    def test_a_report_that_describes_nothing_is_left_out(self, raw):
        assert mimic_cxr_reports.special_cases()["58235663"] == (0, 0)
        add_study(raw, "\n FINDINGS:  See the other report.\n", study_id="58235663")
        reading = mimic_cxr.read(raw)
        assert "58235663" not in by_id(reading)
        assert reading.notes["without_text"] == 1

    def test_they_are_data(self, monkeypatch, tmp_path):
        (tmp_path / "cases.json").write_text(json.dumps({"sections": {STUDY: "indication"}, "characters": {}}))
        mimic_cxr_reports.special_cases.cache_clear()
        monkeypatch.setattr(mimic_cxr_reports, "SPECIAL_CASES", tmp_path / "cases.json")
        try:
            assert mimic_cxr_reports.texts_of(self.REPORT, STUDY).findings == "Cough."
            assert mimic_cxr_reports.texts_of(self.REPORT, "59363654").impression == "See above."
        finally:
            mimic_cxr_reports.special_cases.cache_clear()


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


def test_a_film_named_twice_is_one_film(raw, phantom):
    annotate(raw, phantom, lambda study: study.findings)
    before = by_id(mimic_cxr.read(raw))
    edit_annotation(raw, lambda content: content["train"].append(content["train"][0]))
    assert {key: study.views for key, study in by_id(mimic_cxr.read(raw)).items()} == {
        key: study.views for key, study in before.items()
    }


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


def test_ranges_count_bare_line_feeds(raw):
    add_study(raw, "")
    next((raw / "files").rglob(f"s{STUDY}.txt")).write_bytes(b"\r\n FINDINGS:  Clear\r\n lungs.\r\n")
    assert by_id(mimic_cxr.read(raw))[STUDY].findings == "Clear lungs."
    with mimic_cxr_reports.Reports(raw) as reports:
        assert reports.text(SUBJECT, STUDY) == "\n FINDINGS:  Clear\n lungs.\n"


def test_the_shipped_configuration_names_the_data_module():
    path = Path(__file__).parents[2] / "experiments" / "configs" / "data" / "mimic_cxr.yaml"
    asked = yaml.safe_load(path.read_text())["data"]
    assert asked["class_path"] == f"{MIMICCXRDataModule.__module__}.{MIMICCXRDataModule.__name__}"
    assert asked["init_args"]["folder"] == inspect.signature(MIMICCXRDataModule).parameters["folder"].default
