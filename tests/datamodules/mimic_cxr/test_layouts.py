"""MIMIC-CXR's layouts: the phantom written and read back, tables beside an annotation, the configuration."""

from __future__ import annotations

import inspect
import io
import math
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from ammrg.findings import FINDINGS
from ammrg.text.labeler import label
from datamodules.mimic_cxr import MIMICCXRDataModule
from datamodules.sources import mimic_cxr
from datamodules.sources.reading import read_source
from tests.datamodules.mimic_cxr.raw_folder import (
    DICOM,
    LUNGS,
    STUDY,
    SUBJECT,
    TABLE,
    add_row,
    add_study,
    annotate,
    by_id,
    edit_annotation,
    reform,
    text_of,
    write_table,
)

FORMS = ("packed tables", "plain tables", "archive", "archive a folder higher", "mimic-cxr-reports/files", "reports")


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


def test_a_film_named_twice_is_one_film(raw, phantom):
    annotate(raw, phantom, lambda study: study.findings)
    before = by_id(mimic_cxr.read(raw))
    edit_annotation(raw, lambda content: content["train"].append(content["train"][0]))
    assert {key: study.views for key, study in by_id(mimic_cxr.read(raw)).items()} == {
        key: study.views for key, study in before.items()
    }


def test_the_shipped_configuration_names_the_data_module():
    path = Path(__file__).parents[3] / "experiments" / "configs" / "data" / "mimic_cxr.yaml"
    asked = yaml.safe_load(path.read_text())["data"]
    assert asked["class_path"] == f"{MIMICCXRDataModule.__module__}.{MIMICCXRDataModule.__name__}"
    assert asked["init_args"]["folder"] == inspect.signature(MIMICCXRDataModule).parameters["folder"].default
