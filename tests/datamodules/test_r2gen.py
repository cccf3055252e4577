"""Reading any annotation.json: one or many images in an example, and examples of one study joined."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from ammrg.errors import DataError
from ammrg.text.labeler import label
from datamodules.sources import r2gen


def write(raw: Path, content: object, films: tuple[str, ...]) -> Path:
    for film in films:
        (raw / "images" / film).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (40, 40), 90).save(raw / "images" / film)
    (raw / "annotation.json").write_text(json.dumps(content))
    return raw


def example(film: object, **fields: object) -> dict[str, object]:
    return {"id": "e1", "report": "The lungs are clear.", "image_path": film, **fields}


def test_examples_of_one_study_become_one_study(tmp_path):
    films = ("p10/a.jpg", "p10/b.jpg", "c/0.png")
    content = {
        "train": [
            example(["p10/a.jpg"], id="a", study_id=50, subject_id=10),
            example("p10/b.jpg", id="b", study_id=50, subject_id=10),
        ],
        "valid": [],
        "test": [example(["c/0.png"], id="c", report="Heart size is enlarged.")],
    }
    reading = r2gen.read(write(tmp_path, content, films))
    (train,), (test,) = reading.studies["train"], reading.studies["test"]
    assert (train.study_id, train.subject_id, len(train.views)) == ("50", "10", 2)
    assert (test.study_id, test.subject_id) == ("c", "c")
    assert test.labels == pytest.approx(tuple(label("Heart size is enlarged.")), nan_ok=True)
    assert reading.films == 3


def test_missing_films_are_set_aside_and_another_suffix_found(tmp_path):
    content = {"train": [example(["a.png", "b.png"])], "test": [example(["gone.png"], id="e2")]}
    reading = r2gen.read(write(tmp_path, content, ("a.jpg",)))
    (study,) = reading.studies["train"]
    assert [Path(view.image).name for view in study.views] == ["a.jpg"]
    assert [rejection.film for rejection in reading.rejected] == ["b.png", "gone.png"]
    assert reading.notes["without_film"] == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"train": [{"report": "x", "image_path": ["a.png"]}]}, r"train\[0\] has no field 'id'"),
        ({"train": [example([])]}, "image_path"),
        ({"train": [example([3])]}, "image_path"),
        ({"train": [example("a.png", report=None)]}, "report is NoneType; it must be text"),
        ({"train": ["film"]}, r"train\[0\] is str"),
        ({"train": [example("a.png", id="")]}, "id is ''; it must be a name or a whole number"),
        ({"train": [example("a.png", subject_id=None)]}, "subject_id is None; it must be a name or a whole number"),
        ({"train": [example("a.png"), example("a.png", report="Other.")]}, "id e1 occurs twice, with two reports"),
        ({"train": {}}, "not a list"),
        ({"train": [], "extra": []}, "extra"),
        ({"all": []}, "looked for"),
        ({"train": [example("a.png", study_id=1)], "test": [example("a.png", id="e2", study_id=1)]}, "test and train"),
    ],
)
def test_wrong_annotations_say_where(tmp_path, content, message):
    with pytest.raises(DataError, match=message) as caught:
        r2gen.read(write(tmp_path, content, ("a.png",)))
    assert "annotation.json" in str(caught.value)


def test_no_annotation_says_what_was_found(tmp_path):
    (tmp_path / "labels.csv").write_text("")
    with pytest.raises(DataError, match=r"looked for annotation\.json, found labels\.csv"):
        r2gen.read(tmp_path)
