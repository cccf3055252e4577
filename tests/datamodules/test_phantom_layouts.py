"""The phantom in the raw layouts of the real data sets: names, columns, trees, splits."""

import csv
import gzip
import io
import json
import math
import re
from xml.etree import ElementTree

import pytest
from PIL import Image

from ammrg.findings import FINDINGS
from datamodules.sources import iu_xray
from datamodules.sources.phantom import generate, layouts


@pytest.fixture(scope="module")
def studies():
    return list(generate({"train": 4, "val": 2, "test": 2}, seed=2, size=64))


def rows(path):
    packed = path.read_bytes()
    text = (gzip.decompress(packed) if path.suffix == ".gz" else packed).decode()
    with io.StringIO(text, newline="") as file:
        return list(csv.DictReader(file))


def cell(value):
    return "" if math.isnan(value) else str(value)


def test_iu_xray(studies, tmp_path):
    layouts.write_iu_xray(tmp_path, studies)
    films = rows(tmp_path / "indiana_projections.csv")
    assert list(films[0]) == ["uid", "filename", "projection"]
    assert len(films) == sum(len(study.views) for study in studies)
    assert {film["projection"] for film in films} <= {"Frontal", "Lateral"}
    for film in films:
        with Image.open(tmp_path / "images" / film["filename"]) as image:
            assert image.size == (64, 64)
    reports = rows(tmp_path / "indiana_reports.csv")
    assert list(reports[0]) == [
        "uid",
        "MeSH",
        "Problems",
        "image",
        "indication",
        "comparison",
        "findings",
        "impression",
    ]
    assert [report["findings"] for report in reports] == [study.findings for study in studies]
    labels = rows(tmp_path / "chexpert_labels.csv")
    assert [row[name] for row, s in zip(labels, studies, strict=True) for name in FINDINGS] == [
        cell(value) for study in studies for value in study.labels
    ]
    annotation = json.loads((tmp_path / "annotation.json").read_text())
    assert {split: len(entries) for split, entries in annotation.items()} == {"train": 4, "val": 2, "test": 2}
    entry = annotation["train"][0]
    assert set(entry) == {"id", "report", "image_path", "split"}
    assert all((tmp_path / "images" / name).is_file() for name in entry["image_path"])
    xml = ElementTree.parse(tmp_path / "ecgen-radiology" / f"{studies[0].study_id}.xml").getroot()
    assert xml.find("uId").get("id") == f"CXR{studies[0].study_id}"
    texts = {node.get("Label"): node.text for node in xml.iter("AbstractText")}
    assert texts["FINDINGS"] == studies[0].findings
    assert len(xml.findall("parentImage")) == len(studies[0].views)


@pytest.mark.parametrize("source", ["r2gen", "csv"])
def test_the_iu_xray_reader_reads_it_back(studies, tmp_path, source):
    layouts.write_iu_xray(tmp_path, studies)
    reading = iu_xray.read(tmp_path, source=source)
    back = {study.study_id: study for of_split in reading.studies.values() for study in of_split}
    assert len(back) == len(studies)
    for study in studies:
        other = back[f"CXR{study.study_id}"]
        assert other.findings == study.findings
        assert [view.projection for view in other.views] == [view.projection for view in study.views]
        assert source == "csv" or other.split == study.split


def test_mimic_cxr(studies, tmp_path):
    layouts.write_mimic_cxr(tmp_path, studies)
    splits = rows(tmp_path / "mimic-cxr-2.0.0-split.csv.gz")
    assert list(splits[0]) == ["dicom_id", "study_id", "subject_id", "split"]
    assert {row["split"] for row in splits} == {"train", "validate", "test"}
    assert len({row["dicom_id"] for row in splits}) == sum(len(study.views) for study in studies)
    for row in splits:
        assert re.fullmatch(r"([0-9a-f]{8}-){4}[0-9a-f]{8}", row["dicom_id"])
        patient = tmp_path / "files" / f"p{row['subject_id'][:2]}" / f"p{row['subject_id']}"
        with Image.open(patient / f"s{row['study_id']}" / f"{row['dicom_id']}.jpg") as film:
            assert (film.format, film.mode) == ("JPEG", "L")
    metadata = rows(tmp_path / "mimic-cxr-2.0.0-metadata.csv.gz")
    assert tuple(metadata[0]) == layouts.METADATA_COLUMNS
    assert {row["ViewPosition"] for row in metadata} <= {"PA", "AP", "LATERAL"}
    labels = rows(tmp_path / "mimic-cxr-2.0.0-chexpert.csv.gz")
    assert list(labels[0]) == ["subject_id", "study_id", *sorted(FINDINGS)]
    assert labels[0]["Fracture"] == cell(studies[0].labels[FINDINGS.index("Fracture")])


def test_mimic_reports_have_sections_that_the_public_heading_rule_finds(studies, tmp_path):
    layouts.write_mimic_cxr(tmp_path, studies)
    for study in studies:
        patient = tmp_path / "files" / f"p{study.subject_id[:2]}" / f"p{study.subject_id}"
        text = (patient / f"s{study.study_id}.txt").read_text()
        assert max(map(len, text.splitlines())) <= 79
        assert "FINAL REPORT" in text
        parts = re.split(r"\n ([A-Z ()/,-]+):\s", text)
        sections = {name: " ".join(body.split()) for name, body in zip(parts[1::2], parts[2::2], strict=True)}
        assert sections["FINDINGS"] == study.findings
        assert sections["IMPRESSION"] == study.impression
        assert sections["INDICATION"] == study.indication


def test_chexpert_plus(studies, tmp_path):
    layouts.write_chexpert_plus(tmp_path, studies)
    table = rows(tmp_path / "df_chexpert_plus_240401.csv")
    assert len(table[0]) == 27
    assert {row["split"] for row in table} == {"train", "valid"}
    for row in table:
        assert re.fullmatch(r"(train|valid)/patient\d+/study\d+/view\d+_(frontal|lateral)\.jpg", row["path_to_image"])
        assert (tmp_path / "PNG" / row["path_to_image"]).with_suffix(".png").is_file()
    assert table[0]["section_findings"] == studies[0].findings
    lines = [
        json.loads(line) for line in (tmp_path / "chexbert_labels" / "findings_fixed.json").read_text().splitlines()
    ]
    assert [line["path_to_image"] for line in lines] == [row["path_to_image"] for row in table]
    assert set(lines[0]) == {"path_to_image", *FINDINGS}
    assert lines[0]["No Finding"] in (1.0, None)
