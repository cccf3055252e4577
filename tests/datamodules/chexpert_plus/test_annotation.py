"""An annotation beside CheXpert Plus's table, or alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ammrg.errors import DataError
from datamodules.sources import chexpert_plus
from tests.datamodules.chexpert_plus.raw_folder import LINES, TABLE, by_id, name_of, table, write_table


def annotate(raw: Path, splits: dict[str, str]) -> None:
    """Write an annotation of the films of some studies (name -> split), one example for each film."""
    content: dict[str, list[dict[str, object]]] = {"train": [], "val": [], "test": []}
    for number, row in enumerate(table(raw)):
        _, patient, study, _ = row["path_to_image"].split("/")
        if split := splits.get(f"{patient}_{study}"):
            path = row["path_to_image"].replace(".jpg", ".png")
            content[split].append({"id": f"e{number}", "report": f"Annotated:\n{patient}.", "image_path": [path]})
    (raw / "annotation.json").write_text(json.dumps(content))


def test_the_annotation_comes_first_and_the_table_adds_what_it_lacks(raw, studies):
    annotate(
        raw,
        {
            name_of(studies[0], studies): "train",
            name_of(studies[1], studies): "val",
            name_of(studies[-1], studies): "test",
        },
    )
    reading = chexpert_plus.read(raw)
    assert (reading.source, reading.notes["split"]) == ("r2gen", "annotation")
    assert {split: len(group) for split, group in reading.studies.items()} == {"train": 1, "val": 1, "test": 1}
    study, drawn = by_id(reading)[name_of(studies[1], studies)], studies[1]
    assert study.findings == f"Annotated:\npatient{drawn.subject_id}."
    assert (study.subject_id, study.source) == (f"patient{drawn.subject_id}", "r2gen")
    assert (study.impression, study.indication) == (drawn.impression, drawn.indication)
    assert study.labels == pytest.approx(drawn.labels, nan_ok=True)
    assert [view.projection for view in study.views] == [view.projection for view in drawn.views]
    assert reading.notes["labels"] == f"{LINES} for 3 studies, the labeler for 0"
    assert by_id(chexpert_plus.read(raw, section="impression"))[study.study_id].impression.startswith("Annotated:")
    assert chexpert_plus.read(raw, source="csv").source == "csv"


def test_an_annotation_alone_tells_no_projection_and_the_labeler_labels(raw, studies):
    annotate(raw, {name_of(studies[0], studies): "train", name_of(studies[-1], studies): "test"})
    (raw / TABLE).unlink()
    reading = chexpert_plus.read(raw)
    study = by_id(reading)[name_of(studies[0], studies)]
    assert study.subject_id == f"patient{studies[0].subject_id}"
    assert {view.projection for view in study.views} == {"unknown"}
    # CheXbert's labels exist, but without a table nothing says whether the labelled section was empty.
    assert reading.notes["labels"] == f"{LINES} for 0 studies, the labeler for 2"
    assert reading.notes["table"].startswith("none")


def test_labels_of_an_empty_section_are_not_those_of_the_annotated_text(raw, studies):
    annotate(raw, {name_of(studies[0], studies): "train"})
    write_table(raw, [{**row, "section_findings": ""} for row in table(raw)])
    assert "the labeler for 1" in chexpert_plus.read(raw).notes["labels"]


def test_a_patient_in_two_splits_of_the_annotation_is_named(raw, studies):
    rows = table(raw)
    other = {**rows[0], "path_to_image": rows[0]["path_to_image"].replace("study1", "study2")}
    write_table(raw, [*rows, other])
    patient = f"patient{studies[0].subject_id}"
    annotate(raw, {f"{patient}_study1": "train", f"{patient}_study2": "test"})
    with pytest.raises(DataError, match=rf"annotation\.json: test, id e\d+: patient {patient} is in train and in"):
        chexpert_plus.read(raw)
