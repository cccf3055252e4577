"""IU X-Ray's layouts: annotation before CSV, splits kept, nothing outside RAW, the published counts on the real one."""

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
from datamodules.sources import iu_xray, read_source
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
    with pytest.raises(SettingsError, match="xml"):
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
    # The CSV labels the findings section; another section is the labeler's.
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
    assert [view.projection for view in studies["CXR3"].views] == ["lateral"]  # it uses what it has
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
    with pytest.raises(DataError, match="stands twice"):
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


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real IU X-Ray is not at {REAL}; AMMRG_IU_XRAY names its folder")
class TestReal:
    """Counts of the raw data as they were counted apart from this code."""

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
