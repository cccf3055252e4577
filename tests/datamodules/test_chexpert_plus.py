"""CheXpert Plus's layouts: the phantom is read back as written, and errors name file, row and field."""

from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ammrg.errors import DataError, SettingsError
from ammrg.findings import FINDINGS
from ammrg.text.cleaning import clean
from ammrg.text.labeler import label
from datamodules.chexpert_plus import CheXpertPlusDataModule
from datamodules.sources import chexpert_plus
from datamodules.sources.chexpert_plus_files import VAL_SHARE
from datamodules.sources.phantom import generate, layouts
from datamodules.sources.reading import read_source
from datamodules.sources.splits import hash_split
from experiments.data.preparation import prepare

TABLE = "df_chexpert_plus_240401.csv"
LINES = "chexbert_labels/findings_fixed.json"
COLUMNS = layouts.CHEXPERT_PLUS_COLUMNS


@pytest.fixture(scope="module")
def studies():
    """By the reader's hash, one patient of train goes to validation."""
    drawn = list(generate({"train": 6, "val": 2, "test": 3}, seed=2, size=64))
    numbers = iter(n for n in range(1000) if hash_split(f"patient{n}", 0, val=VAL_SHARE, test=0.0) == "val")
    return [drawn[0]._replace(subject_id=str(next(numbers))), *drawn[1:]]


@pytest.fixture(scope="module")
def written(studies, tmp_path_factory):
    raw = tmp_path_factory.mktemp("chexpert_plus") / "raw"
    layouts.write_chexpert_plus(raw, studies)
    return raw


@pytest.fixture
def raw(written, tmp_path):
    return Path(shutil.copytree(written, tmp_path / "raw"))


def table(raw: Path) -> list[dict[str, str]]:
    with (raw / TABLE).open(newline="") as file:
        return list(csv.DictReader(file))


def write_table(raw: Path, rows: list[dict[str, str]], name: str = TABLE) -> None:
    with (raw / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def edit(raw: Path, number: int, **cells: str) -> None:
    """Change cells of one row, numbered as in a spreadsheet: the header is row 1."""
    rows = table(raw)
    rows[number - 2].update(cells)
    write_table(raw, rows)


def by_id(reading):
    return {study.study_id: study for of_split in reading.studies.values() for study in of_split}


def films(raw: Path) -> list[str]:
    return [row["path_to_image"] for row in table(raw)]


def name_of(study, studies) -> str:
    """The id of a drawn study; a patient's studies are numbered in order."""
    of_patient = [other.study_id for other in studies if other.subject_id == study.subject_id]
    return f"patient{study.subject_id}_study{of_patient.index(study.study_id) + 1}"


def test_the_phantom_comes_back(written, studies):
    reading = chexpert_plus.read(written)
    assert reading.source == "csv"
    assert reading.films == sum(len(study.views) for study in studies)
    assert reading.rejected == ()
    back = by_id(reading)
    assert len(back) == len(studies)
    for study in studies:
        other = back[name_of(study, studies)]
        assert other.subject_id == f"patient{study.subject_id}"
        # The data set has only valid beside train, so the phantom's val studies are read back as test.
        assert other.split == ("test" if study.split != "train" else "val" if study is studies[0] else "train")
        assert (other.findings, other.impression) == (study.findings, study.impression)
        assert other.indication == study.indication
        assert other.labels == pytest.approx(study.labels, nan_ok=True)
        assert [view.projection for view in other.views] == [view.projection for view in study.views]
        for view, drawn in zip(other.views, study.views, strict=True):
            assert view.image.read_bytes() == drawn.image
    assert reading.notes["labels"] == f"{LINES} for {len(studies)} studies, the labeler for 0"
    assert "not the split of papers" in reading.notes["split"]
    assert reading.notes["reports_that_differ_between_films"] == 0


def test_prepared_batched_and_the_same_again(written, tmp_path):
    card = prepare("chexpert_plus", written, tmp_path / "out", size=64, workers=1)
    assert {split: counts["studies"] for split, counts in card["counts"].items()} == {"train": 5, "val": 1, "test": 5}
    assert (card["restricted"], card["source"], card["rejected"]) == (True, "csv", 0)
    assert str(tmp_path) not in (tmp_path / "out" / "card.json").read_text()
    module = CheXpertPlusDataModule(str(tmp_path / "out"), batch_size=5, image_size=32, num_workers=0)
    module.setup("test")
    ((batch,),) = module.test_dataloader()
    assert sorted(batch.study_ids) == sorted(s.study_id for s in chexpert_plus.read(written).studies["test"])


def test_validation_is_cut_by_patient_and_by_seed(raw):
    (row, *_) = table(raw)
    count = 600
    rows = [
        {**row, "deid_patient_id": f"patient{n}", "path_to_image": f"train/patient{n}/study{k}/view1_frontal.jpg"}
        for n in range(count)
        for k in (1, 2)
    ]
    write_table(raw, rows)
    for film in films(raw):
        (raw / "PNG" / film).with_suffix(".png").parent.mkdir(parents=True, exist_ok=True)
        (raw / "PNG" / film).with_suffix(".png").touch()
    first, again, other = (chexpert_plus.read(raw, seed=seed) for seed in (0, 0, 1))
    val = {study.subject_id for study in first.studies["val"]}
    assert 0 < len(val) < count * 3 * VAL_SHARE
    assert len(first.studies["val"]) == 2 * len(val)
    assert not val & {study.subject_id for study in first.studies["train"]}
    assert again.studies == first.studies
    assert {study.subject_id for study in other.studies["val"]} != val


@pytest.mark.parametrize("folder", ["PNG/PNG", "PNGs", "."])
def test_films_where_the_releases_put_them(written, studies, tmp_path, folder):
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    for part in ("train", "valid"):
        shutil.copytree(written / "PNG" / part, tmp_path / folder / part)
    shutil.copy(written / TABLE, tmp_path)
    reading = chexpert_plus.read(tmp_path)
    assert len(by_id(reading)) == len(studies)
    assert reading.rejected == ()


def test_train_and_valid_may_lie_apart_and_a_jpeg_is_taken_as_written(raw, studies):
    (raw / "PNG" / "PNG").mkdir()
    (raw / "PNG" / "valid").rename(raw / "PNG" / "PNG" / "valid")
    film = (raw / "PNG" / films(raw)[0]).with_suffix(".png")
    Image.open(film).save(film.with_suffix(".jpg"))
    film.unlink()
    reading = chexpert_plus.read(raw)
    assert len(by_id(reading)) == len(studies)
    assert by_id(reading)[name_of(studies[0], studies)].views[0].image == film.with_suffix(".jpg")


def test_a_missing_film_is_set_aside_and_its_study_left_out(raw, studies):
    two = next(study for study in studies if len(study.views) == 2)
    one = next(study for study in studies if len(study.views) == 1)
    for study in (one, two):
        (folder,) = (raw / "PNG").glob(f"*/{name_of(study, studies).replace('_', '/')}")
        (folder / "view1_frontal.png").unlink()
    reading = chexpert_plus.read(raw)
    assert sorted((rejection.study_id, rejection.reason) for rejection in reading.rejected) == sorted(
        (name_of(study, studies), "no such file") for study in (one, two)
    )
    assert name_of(one, studies) not in by_id(reading)
    assert [view.projection for view in by_id(reading)[name_of(two, studies)].views] == ["lateral"]
    assert (reading.notes["without_film"], reading.notes["without_frontal"]) == (1, 1)
    assert reading.films == sum(len(study.views) for study in studies)


def test_the_first_frontal_film_gives_the_report_and_differences_are_counted(raw, studies):
    number, study = next((i, s) for i, s in enumerate(studies) if len(s.views) == 2)
    start = sum(len(s.views) for s in studies[:number])
    rows = table(raw)
    frontal, lateral = rows[start : start + 2]
    lateral["section_findings"] = "Anonymised apart."
    second = {**frontal, "path_to_image": frontal["path_to_image"].replace("view1", "view10")}
    second["section_findings"] = "A later film's."
    write_table(raw, [*rows[:start], second, lateral, frontal, *rows[start + 2 :]])
    film = (raw / "PNG" / second["path_to_image"]).with_suffix(".png")
    shutil.copy(film.with_name("view1_frontal.png"), film)
    reading = chexpert_plus.read(raw)
    other = by_id(reading)[name_of(study, studies)]
    assert other.findings == study.findings
    assert [view.image.name for view in other.views] == ["view1_frontal.png", "view2_lateral.png", "view10_frontal.png"]
    assert reading.notes["reports_that_differ_between_films"] == 1
    # The projection decides, not the order: with the first two exchanged, the second film's report is used.
    for row in (frontal, lateral):
        row["frontal_lateral"] = "Lateral" if row is frontal else "Frontal"
    write_table(raw, [*rows[:start], second, lateral, frontal, *rows[start + 2 :]])
    assert by_id(chexpert_plus.read(raw))[name_of(study, studies)].findings == "Anonymised apart."
    # Without a frontal film the first film decides.
    write_table(raw, [{**row, "frontal_lateral": "Oblique"} for row in table(raw)])
    other = by_id(chexpert_plus.read(raw))[name_of(study, studies)]
    assert (other.findings, {view.projection for view in other.views}) == (study.findings, {"unknown"})


def test_an_empty_section_is_left_out_whatever_its_labels_say(raw, studies):
    rows = table(raw)
    folder = name_of(studies[1], studies).replace("_", "/")
    of_study = [row for row in rows if f"{folder}/" in row["path_to_image"]]
    for row in of_study:
        row["section_findings"] = " \n "
    write_table(raw, rows)
    reading = chexpert_plus.read(raw)
    assert sorted(by_id(reading)) == sorted(name_of(study, studies) for study in studies if study is not studies[1])
    assert (reading.notes["without_text"], reading.notes["films_without_text"]) == (1, len(of_study))
    assert reading.films == len(rows) - len(of_study)
    assert len(by_id(chexpert_plus.read(raw, section="impression"))) == len(studies)


@pytest.mark.parametrize("section", ["findings", "impression", "both"])
def test_labels_are_those_of_the_section(raw, studies, section):
    for place, name in enumerate(("findings", "impression", "report")):
        lines = [
            json.dumps({"path_to_image": film, **dict.fromkeys(FINDINGS), "Edema": place - 1}) for film in films(raw)
        ]
        (raw / "chexbert_labels" / f"{name}_fixed.json").write_text("\n".join(lines))
    expected = ("findings", "impression", "both").index(section) - 1
    for study in by_id(chexpert_plus.read(raw, section=section)).values():
        assert study.labels[FINDINGS.index("Edema")] == expected
        assert sum(not math.isnan(value) for value in study.labels) == 1


def test_the_labeler_labels_what_has_no_line(raw, studies):
    lines = (raw / LINES).read_text().splitlines()
    first = films(raw)[0]
    (raw / LINES).write_text("\n\n".join(line for line in lines if first not in line))
    reading = chexpert_plus.read(raw)
    assert by_id(reading)[name_of(studies[0], studies)].labels == pytest.approx(
        tuple(label(studies[0].findings)), nan_ok=True
    )
    assert reading.notes["labels"] == f"{LINES} for {len(studies) - 1} studies, the labeler for 1"
    shutil.rmtree(raw / "chexbert_labels")
    assert chexpert_plus.read(raw).notes["labels"] == f"{LINES} for 0 studies, the labeler for {len(studies)}"


def test_texts_are_folded_and_the_newest_table_is_read(raw, studies):
    rows = table(raw)
    rows[0].update(
        section_findings="\nHeart is\n  normal. ", section_clinical_history="", section_history=" Cough,\nfever"
    )
    write_table(raw, rows, "df_chexpert_plus_250101.csv")
    reading = chexpert_plus.read(raw)
    assert reading.notes["table"] == "df_chexpert_plus_250101.csv"
    study = by_id(reading)[name_of(studies[0], studies)]
    assert (study.findings, study.indication) == ("Heart is\nnormal.", "Cough,\nfever")


# --- the annotation --------------------------------------------------------------------------------------------------


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


# --- faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"path_to_image": "../train/patient1/study1/view1.jpg"}, r"row 3: path_to_image: .* leaves the image folder"),
        ({"path_to_image": "/train/patient1/study1/view1.jpg"}, r"row 3: path_to_image: .* leaves"),
        ({"path_to_image": "train/patient1/../study1/view1.jpg"}, r"row 3: path_to_image: .* leaves"),
        ({"path_to_image": ""}, r"row 3: path_to_image: .* leaves"),
        ({"path_to_image": "train/view1.jpg"}, r"row 3: path_to_image is 'train/view1.jpg'; expected train/patient<n>"),
        ({"split": "test"}, r"row 3: split is 'test'; expected train or valid"),
        ({"split": ""}, r"row 3: split is ''"),
        ({"deid_patient_id": " "}, r"row 3: deid_patient_id is empty"),
    ],
)
def test_a_wrong_cell_is_named_with_file_row_and_field(raw, cells, message):
    edit(raw, 3, **cells)
    with pytest.raises(DataError, match=rf"{TABLE}: {message}"):
        chexpert_plus.read(raw)


def test_wrong_rows_are_named(raw, studies):
    rows = table(raw)
    patient = rows[0]["deid_patient_id"]
    write_table(
        raw, [*rows, {**rows[0], "path_to_image": f"valid/{patient}/study2/view1_frontal.jpg", "split": "valid"}]
    )
    with pytest.raises(DataError, match=rf"row {len(rows) + 2}: deid_patient_id: patient {patient} is in train and"):
        chexpert_plus.read(raw)
    write_table(raw, [*rows, rows[0]])
    with pytest.raises(DataError, match=rf"row {len(rows) + 2}: path_to_image {films(raw)[0]} occurs twice"):
        chexpert_plus.read(raw)
    write_table(
        raw, [*rows, {**rows[0], "path_to_image": films(raw)[0].replace("view1", "view2"), "deid_patient_id": "z"}]
    )
    with pytest.raises(
        DataError, match=rf"row {len(rows) + 2}: deid_patient_id is z, but another film .* has {patient}"
    ):
        chexpert_plus.read(raw)


@pytest.mark.parametrize("column", ["path_to_image", "deid_patient_id", "split", "section_history"])
def test_an_absent_column_is_named(raw, column):
    lines = (raw / TABLE).read_text().split("\n", 1)
    (raw / TABLE).write_text(lines[0].replace(column, "other", 1) + "\n" + lines[1])
    with pytest.raises(DataError, match=rf"{TABLE}: no column '{column}'"):
        chexpert_plus.read(raw)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"path_to_image": ', "line 2: cannot be read as JSON"),
        ("[1]", "line 2 is list, not an object"),
        ("{}", "line 2: path_to_image is None; expected train/patient<n>"),
        ('{"path_to_image": "train/view1.jpg"}', "line 2: path_to_image is 'train/view1.jpg'"),
        (
            '{"path_to_image": "train/patient1/study1/a.jpg", "Edema": 1}',
            "line 2 .patient1/study1/a. has no field 'Enl",
        ),
        (
            json.dumps({"path_to_image": "train/patient1/study1/a.jpg", **dict.fromkeys(FINDINGS, 0), "Edema": 2}),
            r"line 2 \(patient1/study1/a\): Edema is '2'; expected 1, 0, -1",
        ),
        ("\udcff", "line 2: cannot be read as JSON in UTF-8"),
    ],
)
def test_a_broken_line_of_labels_is_named(raw, line, message):
    lines = (raw / LINES).read_text().splitlines()
    lines[1] = line
    (raw / LINES).write_bytes("\n".join(lines).encode(errors="surrogateescape"))
    with pytest.raises(DataError, match=rf"findings_fixed\.json: {message}"):
        chexpert_plus.read(raw)


def test_missing_layouts_and_films_say_what_was_looked_for(raw, tmp_path):
    with pytest.raises(SettingsError, match="xml"):
        chexpert_plus.read(raw, source="xml")
    with pytest.raises(DataError, match=r"looked for annotation\.json; found PNG, chexbert_labels, df_chexpert_plus"):
        chexpert_plus.read(raw, source="r2gen")
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        DataError, match=r"looked for annotation\.json or df_chexpert_plus_\*\.csv; found an empty folder"
    ):
        read_source("chexpert_plus", tmp_path / "empty")
    shutil.rmtree(raw / "PNG")
    with pytest.raises(
        DataError, match=rf"none of {len(films(raw))} films was found; looked for .*\.jpg, also as \.png, in"
    ):
        chexpert_plus.read(raw)


def test_quotes_and_line_breaks_inside_a_cell_are_one_row(raw, studies):
    edit(raw, 2, report='NARRATIVE:\n"quoted", and\n\nmore', section_impression='1. "Normal",\n2. else.')
    study = by_id(chexpert_plus.read(raw))[name_of(studies[0], studies)]
    assert study.impression == '1. "Normal",\n2. else.'
    edit(raw, 2, section_impression="1. NO CHANGE IN POSITION\n\n 2. CLEAR LUNGS")  # line breaks mark list numbers
    study = by_id(chexpert_plus.read(raw, section="impression"))[name_of(studies[0], studies)]
    assert clean(study.impression) == "NO CHANGE IN POSITION. CLEAR LUNGS"
    np.testing.assert_array_equal(study.labels, studies[0].labels)
