"""IU X-Ray's layouts: the annotation's precedence, its splits, paths within RAW, and counts of the real data."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from pathlib import Path

import pytest

from ammrg.errors import DataError, SettingsError
from ammrg.findings import FINDINGS
from ammrg.text.labeler import label
from datamodules.sources import iu_xray
from datamodules.sources.phantom import generate, layouts
from datamodules.sources.reading import read_source
from datamodules.sources.splits import hash_split

REAL = Path(os.environ.get("AMMRG_IU_XRAY", Path(__file__).parents[3] / "shared" / "data" / "iu_xray"))
ANNOTATED = {"train": (1, 2, 3), "val": (4,), "test": (5, 6)}


def edit_annotation(raw, change):
    content = json.loads((raw / "annotation.json").read_text())
    change(content)
    (raw / "annotation.json").write_text(json.dumps(content))


def test_csv_pair_alone_is_split_by_hash(write_iu):
    raw = write_iu(60)
    reading = iu_xray.read(raw)
    assert reading.source == "csv"
    ids = [study.study_id for studies in reading.studies.values() for study in studies]
    assert sorted(ids) == sorted(f"CXR{uid}" for uid in range(1, 61))
    assert all(reading.studies[split] for split in ("train", "val", "test"))
    study = reading.studies["train"][0]
    assert [view.projection for view in study.views] == ["frontal", "lateral"]
    assert all(view.image.suffix == ".jpg" and view.image.is_file() for view in study.views)  # the CSV says .png
    assert study.subject_id == study.study_id.removeprefix("CXR")
    assert study.impression.startswith("Impression")
    fewer = iu_xray.read(write_iu(30, folder="fewer"))
    assert {s.study_id for s in fewer.studies["val"]} <= {s.study_id for s in reading.studies["val"]}
    other_seed = iu_xray.read(raw, seed=1)
    assert {s.study_id for s in other_seed.studies["val"]} != {s.study_id for s in reading.studies["val"]}


def test_hash_shares_are_70_10_20():
    counts = Counter(hash_split(str(uid), 0) for uid in range(20_000))
    assert abs(counts["train"] / 20_000 - 0.7) < 0.01
    assert abs(counts["val"] / 20_000 - 0.1) < 0.01


def test_annotation_comes_first_and_the_others_join_train(write_iu):
    reading = iu_xray.read(write_iu(9, ANNOTATED))
    assert reading.source == "r2gen"
    assert [len(reading.studies[split]) for split in ("train", "val", "test")] == [3 + 3, 1, 2]
    assert reading.notes["joined_train"] == 3
    assert reading.notes["annotated"] == {"train": 3, "val": 1, "test": 2}
    annotated = reading.studies["val"][0]
    assert annotated.study_id == "CXR4"
    assert annotated.findings.startswith("Annotated.")
    assert annotated.impression == "Impression 4."
    assert [view.projection for view in annotated.views] == ["frontal", "lateral"]
    assert {study.source for study in reading.studies["train"]} == {"r2gen", "csv"}


def test_the_layout_can_be_chosen(write_iu):
    raw = write_iu(9, ANNOTATED)
    assert iu_xray.read(raw, source="csv").source == "csv"
    with pytest.raises(SettingsError, match="pickle: not known for iu_xray; give one of r2gen, csv, xml"):
        iu_xray.read(raw, source="pickle")
    with pytest.raises(DataError, match=r"looked for ecgen-radiology/\*\.xml; found annotation\.json, images"):
        iu_xray.read(raw, source="xml")


def test_labels_of_the_csv_else_of_the_labeler(write_iu):
    raw = write_iu(3)
    rows = [",".join(("uid", *sorted(FINDINGS)))]
    rows.append(
        ",".join(
            ["1", *("1.0" if name == "Edema" else "-1" if name == "Fracture" else "" for name in sorted(FINDINGS))]
        )
    )
    (raw / "chexpert_labels.csv").write_text("\n".join(rows))
    studies = {s.study_id: s for group in iu_xray.read(raw).studies.values() for s in group}
    given = dict(zip(FINDINGS, studies["CXR1"].labels, strict=True))
    assert given["Edema"] == 1.0
    assert given["Fracture"] == -1.0
    assert math.isnan(given["Pneumonia"])
    assert studies["CXR2"].labels == pytest.approx(tuple(label(studies["CXR2"].findings)), nan_ok=True)
    # The CSV labels the findings section; other sections get the labeler's labels.
    other = {s.study_id: s for group in iu_xray.read(raw, section="impression").studies.values() for s in group}
    assert other["CXR1"].labels == pytest.approx(tuple(label("Impression 1.")), nan_ok=True)


def test_studies_without_text_or_film_are_left_out_and_counted(write_iu):
    raw = write_iu(6)
    reports = raw / "indiana_reports.csv"
    lines = reports.read_text().splitlines()
    lines[1] = "1,normal,normal,Xray,Cough,None.,,Only an impression."
    reports.write_text("\n".join(lines))
    for number in range(2):
        (raw / "images" / f"2_IM-{number}.dcm.jpg").unlink()
    (raw / "images" / "3_IM-0.dcm.jpg").unlink()
    reading = iu_xray.read(raw)
    studies = {s.study_id: s for group in reading.studies.values() for s in group}
    assert sorted(studies) == ["CXR3", "CXR4", "CXR5", "CXR6"]
    assert [view.projection for view in studies["CXR3"].views] == ["lateral"]  # it uses the files that exist
    assert reading.notes["without_text"] == 1
    assert reading.notes["without_film"] == 1
    assert reading.notes["without_frontal"] == 1
    assert [rejection.film for rejection in reading.rejected] == [
        "2_IM-0.dcm.png",
        "2_IM-1.dcm.png",
        "3_IM-0.dcm.png",
    ]
    assert reading.films == 12
    assert "CXR1" in {s.study_id for group in iu_xray.read(raw, section="impression").studies.values() for s in group}


@pytest.mark.parametrize("field", ["id", "report", "image_path"])
def test_an_annotation_without_a_field_names_file_field_and_entry(write_iu, field):
    raw = write_iu(9, ANNOTATED)
    edit_annotation(raw, lambda content: content["train"][2].pop(field))
    with pytest.raises(DataError, match=rf"annotation\.json: train\[2\].*no field '{field}'"):
        iu_xray.read(raw)


@pytest.mark.parametrize(
    "path", ["../outside.png", "/etc/film.png", "a/../../outside.png", "C:\\film.png", "..\\x.png"]
)
def test_no_path_leaves_raw(write_iu, path):
    raw = write_iu(9, ANNOTATED)
    edit_annotation(raw, lambda content: content["test"][0].update(image_path=[path]))
    with pytest.raises(DataError, match=r"test\[0\].*leaves"):
        iu_xray.read(raw)
    (raw / "annotation.json").unlink()
    with (raw / "indiana_projections.csv").open("a") as file:
        file.write(f"1,{path},Frontal\n")
    with pytest.raises(DataError, match=r"indiana_projections\.csv: row 20.*leaves"):
        iu_xray.read(raw)


def test_wrong_files_say_what_is_wrong(write_iu, tmp_path):
    with pytest.raises(SettingsError, match="--raw"):
        read_source("iu_xray", None)
    with pytest.raises(DataError, match="found nothing"):
        read_source("iu_xray", tmp_path / "absent")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "readme.txt").write_text("x")
    with pytest.raises(DataError, match=r"looked for annotation\.json.*readme\.txt"):
        read_source("iu_xray", tmp_path / "other")
    with pytest.raises(SettingsError, match="mimic"):
        read_source("mimic", tmp_path)
    raw = write_iu(9, ANNOTATED)
    with pytest.raises(DataError, match="looked for annotation"):
        iu_xray.read(write_iu(3, folder="csv_only"), source="r2gen")
    edit_annotation(raw, lambda content: content["val"].append(content["train"][0]))
    with pytest.raises(DataError, match="occurs twice"):
        iu_xray.read(raw)
    (raw / "annotation.json").write_text("{not json")
    with pytest.raises(DataError, match="JSON"):
        iu_xray.read(raw)
    (raw / "annotation.json").write_text("[]")
    with pytest.raises(DataError, match="train, val, test"):
        iu_xray.read(raw)
    (raw / "annotation.json").unlink()
    (raw / "indiana_reports.csv").write_text("uid,impression\n1,x\n")
    with pytest.raises(DataError, match=r"indiana_reports\.csv: no column 'findings'"):
        iu_xray.read(raw)
    raw = write_iu(3, folder="labels")
    (raw / "chexpert_labels.csv").write_text(f"uid,{','.join(FINDINGS)}\n1,2{',' * 13}\n")
    with pytest.raises(DataError, match="row 2: Enlarged Cardiomediastinum is '2'"):
        iu_xray.read(raw)


# --- XML reports -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn():
    return list(generate({"train": 4, "val": 2, "test": 2}, seed=2, size=64))


@pytest.fixture
def xml_raw(drawn, tmp_path):
    """The phantom as IU X-Ray with XML reports only."""
    layouts.write_iu_xray(tmp_path / "raw", drawn)
    for path in (tmp_path / "raw").glob("indiana_*.csv"):
        path.unlink()
    (tmp_path / "raw" / "annotation.json").unlink()
    return tmp_path / "raw"


def by_id(reading):
    return {study.study_id: study for of_split in reading.studies.values() for study in of_split}


def an_xml(raw):
    return min((raw / "ecgen-radiology").iterdir())


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_phantom_comes_back_from_xml(xml_raw, drawn):
    reading = iu_xray.read(xml_raw)
    assert (reading.source, reading.films, reading.rejected) == ("xml", sum(len(s.views) for s in drawn), ())
    assert reading.notes["xml_rows"] == len(drawn)
    assert len(by_id(reading)) == len(drawn)
    for study in drawn:
        other = by_id(reading)[f"CXR{study.study_id}"]
        assert (other.findings, other.impression) == (study.findings, study.impression)
        assert (other.indication, other.source) == (study.indication, "xml")
        assert other.labels == pytest.approx(study.labels, nan_ok=True)
        assert {view.projection for view in other.views} == {"unknown"}
        assert [view.image.read_bytes() for view in other.views] == [view.image for view in study.views]
        assert other.split == hash_split(study.study_id, 0)


def test_xml_comes_last_and_completes_an_annotation(xml_raw, drawn, tmp_path):
    layouts.write_iu_xray(tmp_path / "all", drawn)
    assert iu_xray.read(tmp_path / "all").source == "r2gen"
    assert iu_xray.read(tmp_path / "all", source="xml").source == "xml"
    (tmp_path / "all" / "annotation.json").unlink()
    assert iu_xray.read(tmp_path / "all").source == "csv"
    one, other = drawn[:2]
    films = [path.name for path in sorted((xml_raw / "images").glob(f"{one.study_id}_*"))]
    content = {"test": [{"id": f"CXR{one.study_id}_IM-0001", "report": "Annotated.", "image_path": films}]}
    (xml_raw / "annotation.json").write_text(json.dumps(content))
    reading = iu_xray.read(xml_raw)
    (test,) = reading.studies["test"]
    assert (reading.source, test.findings, test.impression) == ("r2gen", "Annotated.", one.impression)
    assert by_id(reading)[f"CXR{other.study_id}"].split == "train"
    assert reading.notes["joined_train"] == len(drawn) - 1
    assert reading.films == sum(len(study.views) for study in drawn)


def test_films_called_as_open_i_calls_them(xml_raw, drawn):
    for path in (xml_raw / "images").iterdir():
        path.rename(path.with_name("CXR" + path.name.replace(".dcm.png", ".png")))
    reading = iu_xray.read(xml_raw)
    assert (len(by_id(reading)), reading.rejected) == (len(drawn), ())
    # Some ids contain the study's number twice: CXR1_1_IM-0001-3001.
    uid = drawn[0].study_id
    for path in list((xml_raw / "images").glob(f"CXR{uid}_*")):
        path.rename(path.with_name(path.name.replace(f"CXR{uid}_", f"{uid}_").replace(".png", ".dcm.png")))
    xml = xml_raw / "ecgen-radiology" / f"{uid}.xml"
    xml.write_text(xml.read_text().replace(f'parentImage id="CXR{uid}_', f'parentImage id="CXR{uid}_{uid}_'))
    again = iu_xray.read(xml_raw)
    assert (len(by_id(again)), again.rejected) == (len(drawn), ())
    for path in (xml_raw / "images").glob(f"{uid}_*"):
        path.unlink()
    gone = iu_xray.read(xml_raw).rejected
    assert [rejection.study_id for rejection in gone] == [f"CXR{uid}"] * len(drawn[0].views)
    assert gone[0].film == f"{uid}_IM-0001-1001.dcm.png"


def test_sections_are_folded_and_an_absent_one_is_empty(xml_raw, drawn):
    xml = xml_raw / "ecgen-radiology" / f"{drawn[0].study_id}.xml"
    replace(xml, drawn[0].findings, "Heart &lt;b&gt; is\n   normal. <i>Clear</i> lungs.")
    replace(xml, 'Label="IMPRESSION"', 'Label="OTHER"')
    study = by_id(iu_xray.read(xml_raw))[f"CXR{drawn[0].study_id}"]
    assert (study.findings, study.impression) == ("Heart <b> is normal. Clear lungs.", "")


LAUGHS = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(12))


@pytest.mark.parametrize(
    "declared",
    [
        f'<!DOCTYPE eCitation [<!ENTITY l0 "lol">{LAUGHS}]>',
        '<!DOCTYPE eCitation [<!ENTITY l12 SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE eCitation SYSTEM "http://localhost/nothing.dtd">',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_dtd_is_refused(xml_raw, declared, encoding):
    xml = an_xml(xml_raw)
    body = xml.read_text().partition("?>")[2].replace("None.", "&l12;", 1)
    xml.write_text(f"<?xml version='1.0' encoding='{encoding}'?>{declared}{body}", encoding=encoding)
    with pytest.raises(DataError, match=rf"{xml.name}.*({'<!DOCTYPE' if encoding == 'utf-8' else 'UTF-8'})"):
        iu_xray.read(xml_raw)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<uId id=", "<uId name=", r"uId has the id ''; expected CXR"),
        ("<uId id=", "<other id=", r"uId has the id ''; expected CXR"),
        ('<uId id="CXR', '<uId id="', r"uId has the id '\d+'; expected CXR"),
        ('<parentImage id="CXR', '<parentImage id="../CXR', r"parentImage 1: .* leaves the image folder"),
        ("<parentImage id=", "<parentImage name=", r"parentImage 1 has no id"),
        ("</eCitation>", "", r"cannot be read as XML in UTF-8"),
    ],
)
def test_a_wrong_xml_is_named_with_its_field(xml_raw, old, new, message):
    xml = an_xml(xml_raw)
    replace(xml, old, new)
    with pytest.raises(DataError, match=rf"{xml.name}: {message}"):
        iu_xray.read(xml_raw)


def test_two_xml_of_one_study_are_refused(xml_raw):
    xml = an_xml(xml_raw)
    xml.with_name(f"{xml.stem}9.xml").write_bytes(xml.read_bytes())
    with pytest.raises(DataError, match=rf"{xml.stem}9\.xml: uId: study {xml.stem} occurs twice"):
        iu_xray.read(xml_raw)
    xml.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=rf"{xml.stem}\.xml: cannot be read as XML in UTF-8"):
        iu_xray.read(xml_raw)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real IU X-Ray is not at {REAL}; AMMRG_IU_XRAY names its folder")
class TestReal:
    """Counts of the raw data, made independently of this code."""

    def test_annotation_and_what_joins_train(self):
        reading = iu_xray.read(REAL)
        assert reading.notes["annotated"] == {"train": 2069, "val": 296, "test": 295}
        assert reading.notes["joined_train"] == 382
        assert {split: len(group) for split, group in reading.studies.items()} == {
            "train": 2451,
            "val": 296,
            "test": 295,
        }
        assert len(reading.rejected) == 40
        assert reading.films == 6860

    @pytest.mark.parametrize(("section", "count"), [("findings", 3042), ("impression", 3525), ("both", 3531)])
    def test_csv_pair(self, section, count):
        reading = iu_xray.read(REAL, source="csv", section=section)
        assert reading.notes["csv_rows"] == 3556
        assert sum(map(len, reading.studies.values())) == count
        assert reading.notes["without_film_and_text"] == 25

    def test_xml(self):
        reading = iu_xray.read(REAL, source="xml", section="impression")
        studies = [study for of_split in reading.studies.values() for study in of_split]
        assert (reading.notes["xml_rows"], reading.films, reading.rejected) == (2, 4, ())
        assert sorted((study.study_id, len(study.views)) for study in studies) == [("CXR1", 2), ("CXR3", 2)]
        # One of the two has no findings.
        assert iu_xray.read(REAL, source="xml").notes["without_text"] == 1
        told = {
            study.study_id: study
            for of_split in iu_xray.read(REAL, source="csv").studies.values()
            for study in of_split
        }
        (found,) = (study for of_split in iu_xray.read(REAL, source="xml").studies.values() for study in of_split)
        assert found.findings == told[found.study_id].findings
        assert {view.image for view in found.views} == {view.image for view in told[found.study_id].views}
