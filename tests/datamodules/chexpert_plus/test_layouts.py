"""CheXpert Plus's layouts: the phantom written and read back, wherever the releases put films and labels."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest
from PIL import Image

from ammrg.findings import FINDINGS
from ammrg.text.cleaning import clean
from ammrg.text.labeler import label
from datamodules.chexpert_plus import CheXpertPlusDataModule
from datamodules.sources import chexpert_plus
from datamodules.sources.chexpert_plus_files import VAL_SHARE
from experiments.data.preparation import prepare
from tests.datamodules.chexpert_plus.raw_folder import LINES, TABLE, by_id, edit, films, name_of, table, write_table


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


def test_quotes_and_line_breaks_inside_a_cell_are_one_row(raw, studies):
    edit(raw, 2, report='NARRATIVE:\n"quoted", and\n\nmore', section_impression='1. "Normal",\n2. else.')
    study = by_id(chexpert_plus.read(raw))[name_of(studies[0], studies)]
    assert study.impression == '1. "Normal",\n2. else.'
    edit(raw, 2, section_impression="1. NO CHANGE IN POSITION\n\n 2. CLEAR LUNGS")  # line breaks mark list numbers
    study = by_id(chexpert_plus.read(raw, section="impression"))[name_of(studies[0], studies)]
    assert clean(study.impression) == "NO CHANGE IN POSITION. CLEAR LUNGS"
    np.testing.assert_array_equal(study.labels, studies[0].labels)
