"""Tables that write ids differently: clearly equal ids match, and a table without any match is refused."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ammrg.errors import DataError
from ammrg.findings import FINDINGS
from ammrg.ids import plain_id
from datamodules.sources import chexpert_plus, iu_xray, mimic_cxr, r2gen
from datamodules.sources.iu_xray_csv import uid_of
from datamodules.sources.phantom import generate, layouts
from datamodules.sources.source_reading import SourceReading
from experiments.data.card_table import print_card
from experiments.data.preparation import prepare
from tests.datamodules.conftest import write_film, write_rows

EDEMA = FINDINGS.index("Edema")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        *((text, "12") for text in ("12", "12.0", "12.", " 12 ", "0012", "CXR12", "CXR0012", "CXR12_IM-0942", "12.00")),
        *((text, text) for text in ("12.5", "12_IM-0942", "s12", "1.2.0", "", "-12")),
        ("000", "0"),
    ],
)
def test_what_is_clearly_one_uid_is_one(written: str, read: str) -> None:
    assert uid_of(written) == read


def test_a_whole_number_loses_its_decimals_and_nothing_else() -> None:
    assert [plain_id(text) for text in ("7.0", "7.", "07", "7.01", " a.0 ")] == ["7", "7", "07", "7.01", "a.0"]


# --- IU X-Ray --------------------------------------------------------------------------------------------------------


def labels_of(raw: Path, *uids: str, edema: str = "1.0", bom: str = "") -> None:
    rows = [[uid, *(edema if name == "Edema" else "" for name in FINDINGS)] for uid in uids]
    file = io.StringIO()
    csv.writer(file).writerows([["uid", *FINDINGS], *rows])
    (raw / "chexpert_labels.csv").write_text(bom + file.getvalue(), encoding="utf-8")


def by_id(reading: SourceReading) -> dict[str, tuple[float, ...]]:
    return {study.study_id: study.labels for of_split in reading.studies.values() for study in of_split}


@pytest.mark.parametrize("form", ["{}", "{}.0", " {} ", "{:04d}", "CXR{}", "CXR{}_IM-0001"])
def test_labels_keyed_as_programs_write_them_are_those_of_the_study(write_iu: Callable[..., Path], form: str) -> None:
    raw = write_iu(4)
    labels_of(raw, form.format(1), form.format(3), bom="\ufeff")
    reading = iu_xray.read(raw)
    assert {name: found[EDEMA] == 1.0 for name, found in by_id(reading).items()} == {
        "CXR1": True,
        "CXR2": False,
        "CXR3": True,
        "CXR4": False,
    }
    assert reading.notes["labels"] == "chexpert_labels.csv for 2 studies, the labeler for 2"
    assert reading.notes["matched"]["chexpert_labels.csv"] == "2 of 2 rows match a study"


def test_labels_that_match_nothing_are_refused_and_a_stranger_is_named(write_iu: Callable[..., Path]) -> None:
    raw = write_iu(3)
    labels_of(raw, "s1", "s2")
    with pytest.raises(
        DataError, match=r"chexpert_labels.csv: none of its 2 rows belongs to a study .*uid 's1', but a study .* '1'"
    ):
        iu_xray.read(raw)
    # They label the findings section, so they are not used for another section.
    assert iu_xray.read(raw, section="impression").notes["labels"] == "the labeler"
    labels_of(raw, "1", "77", "78")
    matched = iu_xray.read(raw).notes["matched"]
    assert matched["chexpert_labels.csv"] == "1 of 3 rows match a study (first that does not: uid '77')"


def test_a_doubled_row_is_one_and_a_contradiction_is_refused(write_iu: Callable[..., Path]) -> None:
    raw = write_iu(3)
    labels_of(raw, "1", "1.0", "2")
    assert iu_xray.read(raw).notes["matched"]["chexpert_labels.csv"] == "2 of 2 rows match a study"
    with (raw / "chexpert_labels.csv").open("a") as file:
        file.write("01" + ",0" * len(FINDINGS) + "\n")
    with pytest.raises(DataError, match=r"chexpert_labels.csv: row 5: study 1 occurs twice, with other labels"):
        iu_xray.read(raw)
    labels_of(raw, "")
    with pytest.raises(DataError, match=r"chexpert_labels.csv: row 2: uid is empty"):
        iu_xray.read(raw)
    labels_of(raw, "1,2")
    (raw / "chexpert_labels.csv").write_text((raw / "chexpert_labels.csv").read_text().replace('"', ""))
    with pytest.raises(DataError, match=r"chexpert_labels.csv: row 2 has more cells than the header \(by 1\)"):
        iu_xray.read(raw)


def rename_uids(path: Path, change: Callable[[str], str]) -> None:
    rows = list(csv.reader(path.open(newline="")))
    write_rows(path, [rows[0], *([change(row[0]), *row[1:]] for row in rows[1:])])


def test_reports_of_other_studies_than_the_films_are_refused(write_iu: Callable[..., Path]) -> None:
    raw = write_iu(4)
    before = iu_xray.read(raw)
    rename_uids(raw / "indiana_reports.csv", lambda uid: f"{uid}.0")
    assert iu_xray.read(raw).studies == before.studies
    assert before.notes["matched"] == {"indiana_projections.csv": "8 of 8 rows match a report of indiana_reports.csv"}
    rename_uids(raw / "indiana_reports.csv", lambda uid: f"study-{uid}")
    with pytest.raises(
        DataError, match=r"indiana_projections.csv: none of its 8 rows belongs to a report .*uid '1', but .*'study-1.0'"
    ):
        iu_xray.read(raw)


def test_an_annotation_of_other_studies_than_the_reports_is_refused(write_iu: Callable[..., Path]) -> None:
    raw = write_iu(6, {"train": (1, 2), "test": (3,)})
    assert iu_xray.read(raw).notes["matched"]["annotation.json"] == "3 of 3 rows match a csv report"
    for name in ("indiana_reports.csv", "indiana_projections.csv"):
        rename_uids(raw / name, lambda uid: f"{int(uid) + 100}")
    with pytest.raises(DataError, match=r"annotation.json: none of its 3 rows belongs to a csv report of this folder"):
        iu_xray.read(raw)


def test_a_film_named_twice_is_there_once(write_iu: Callable[..., Path]) -> None:
    raw = write_iu(4)
    with (raw / "indiana_projections.csv").open("a") as file:
        file.write("2,2_IM-0.dcm.png,Frontal\n2,./2_IM-1.dcm.jpg,Lateral\n")
    reading = iu_xray.read(raw)
    (study,) = (study for of_split in reading.studies.values() for study in of_split if study.study_id == "CXR2")
    assert [view.image.name for view in study.views] == ["2_IM-0.dcm.jpg", "2_IM-1.dcm.jpg"]
    assert (reading.films, reading.notes["films_named_twice"]) == (8, 2)


def test_a_film_of_two_splits_is_refused_and_one_of_two_studies_is_counted(write_iu: Callable[..., Path]) -> None:
    raw = write_iu(6, {"train": (1, 2), "test": (3,)})
    content = json.loads((raw / "annotation.json").read_text())
    content["train"][0]["image_path"].append("2_IM-0.dcm.jpg")
    (raw / "annotation.json").write_text(json.dumps(content))
    assert iu_xray.read(raw).notes["films_of_two_studies"] == 1
    content["test"][0]["image_path"].append("2_IM-1.dcm.jpg")
    (raw / "annotation.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"film 2_IM-1.dcm.jpg is in study CXR2 \(train\) and in CXR3 \(test\)"):
        iu_xray.read(raw)


def test_films_that_lie_elsewhere_are_said_to(write_iu: Callable[..., Path]) -> None:
    raw = write_iu(4)
    shutil.rmtree(raw / "images")
    (raw / "images").mkdir()
    with pytest.raises(
        DataError, match=r"none of 8 films was found; looked for films such as 1_IM-0.dcm.png in .*images"
    ):
        iu_xray.read(raw)


def test_the_card_and_the_output_say_how_many_rows_matched(
    write_iu: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = write_iu(12)
    labels_of(raw, "1.0", "2.0", "99.0")
    card = prepare("iu_xray", raw, tmp_path / "out", size=32, workers=1)
    assert card["notes"]["matched"]["chexpert_labels.csv"].startswith("2 of 3 rows match a study")
    print_card(tmp_path / "out", card)
    shown = " ".join(capsys.readouterr().out.split())
    assert "2 of 3 rows match a study (first that does not: uid '99')" in shown
    assert "films_named_twice: 0" in shown


# --- R2Gen's annotation ---------------------------------------------------------------------------------------------


def test_an_annotation_names_a_film_twice_and_its_ids_as_floats(tmp_path: Path) -> None:
    for seed, film in enumerate(("a.png", "b.png")):
        write_film(tmp_path / "images" / film, seed)
    entry = {"report": "The lungs are clear.", "subject_id": 3.0}
    content = {
        "train": [
            {**entry, "id": 1.0, "study_id": 7.0, "image_path": ["a.png", "b.png", "./a.png"]},
            {**entry, "id": 2, "study_id": 7, "image_path": "b.jpg"},
        ]
    }
    (tmp_path / "annotation.json").write_text(json.dumps(content))
    reading = r2gen.read(tmp_path)
    (study,) = reading.studies["train"]
    assert (study.study_id, study.subject_id) == ("7", "3")
    assert [view.image.name for view in study.views] == ["a.png", "b.png"]
    assert (reading.films, reading.notes["films_named_twice"]) == (2, 2)
    content["train"][0]["id"] = math.nan
    (tmp_path / "annotation.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"train\[0\]: id is nan; it must be a name or a whole number"):
        r2gen.read(tmp_path)


def test_an_annotation_whose_film_stands_in_two_splits_is_refused(tmp_path: Path) -> None:
    write_film(tmp_path / "images" / "a.png", 0)
    entry = {"report": "The lungs are clear.", "image_path": "a.png"}
    (tmp_path / "annotation.json").write_text(
        json.dumps({"train": [{**entry, "id": "one"}], "test": [{**entry, "id": "two"}]})
    )
    with pytest.raises(DataError, match=r"annotation.json: film a.png is in study one \(train\) and in two \(test\)"):
        r2gen.read(tmp_path)
    (tmp_path / "images" / "a.png").unlink()
    with pytest.raises(DataError, match=r"none of 2 films was found; looked for films such as a.png in .*images"):
        r2gen.read(tmp_path)


@pytest.mark.parametrize("written", [" 3", "3 ", "3.0", 3.0])
def test_a_patient_is_one_however_an_annotation_writes_the_id(tmp_path: Path, written: object) -> None:
    for seed, film in enumerate(("a.png", "b.png")):
        write_film(tmp_path / "images" / film, seed)
    entry = {"report": "The lungs are clear.", "image_path": "a.png", "subject_id": "3"}
    other = {**entry, "image_path": "b.png", "subject_id": written}
    content = {"train": [{**entry, "id": "one", "study_id": "7"}, {**other, "id": " two ", "study_id": " 7.0"}]}
    (tmp_path / "annotation.json").write_text(json.dumps(content))
    (study,) = r2gen.read(tmp_path).studies["train"]
    assert (study.study_id, study.subject_id, len(study.views)) == ("7", "3", 2)
    content = {"train": [{**entry, "id": "one"}], "test": [{**other, "id": "two"}]}
    (tmp_path / "annotation.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"patients in two splits, .*: 3 in test and train"):
        prepare("r2gen", tmp_path, tmp_path / "out", size=32, workers=1)


# --- MIMIC-CXR ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn() -> list:
    return list(generate({"train": 4, "val": 1, "test": 1}, seed=3, size=64))


def edit_table(raw: Path, kind: str, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    path = raw / f"mimic-cxr-2.0.0-{kind}.csv.gz"
    rows = list(csv.DictReader(io.StringIO(gzip.decompress(path.read_bytes()).decode())))
    file = io.StringIO()
    writer = csv.DictWriter(file, rows[0])
    writer.writeheader()
    writer.writerows(change(row) for row in rows)
    path.write_bytes(gzip.compress(file.getvalue().encode()))


@pytest.mark.parametrize("form", ["{}", "{}.0", "s{}", " {} "])
def test_the_official_labels_under_other_spellings(drawn: list, tmp_path: Path, form: str) -> None:
    layouts.write_mimic_cxr(tmp_path, drawn)
    before = mimic_cxr.read(tmp_path)
    edit_table(tmp_path, "chexpert", lambda row: {**row, "study_id": form.format(row["study_id"]), "Edema": "-1.0"})
    reading = mimic_cxr.read(tmp_path)
    assert {labels[EDEMA] for labels in by_id(reading).values()} == {-1.0}
    assert reading.notes["matched"] == before.notes["matched"]
    assert before.notes["matched"]["mimic-cxr-2.0.0-chexpert.csv.gz"] == "6 of 6 rows match a study"
    assert before.notes["labels_by_labeler"] == 0


def test_official_tables_of_other_studies_are_refused(drawn: list, tmp_path: Path) -> None:
    layouts.write_mimic_cxr(tmp_path, drawn)
    films = sum(len(study.views) for study in drawn)
    first = drawn[0].study_id
    edit_table(tmp_path, "chexpert", lambda row: {**row, "study_id": row["study_id"].replace(first, "59999999")})
    assert mimic_cxr.read(tmp_path).notes["matched"]["mimic-cxr-2.0.0-chexpert.csv.gz"] == (
        "5 of 6 rows match a study (first that does not: study_id '59999999')"
    )
    edit_table(tmp_path, "chexpert", lambda row: {**row, "study_id": f"6{row['study_id'][1:]}"})
    with pytest.raises(DataError, match=r"chexpert.csv.gz: none of its 6 rows belongs to a study"):
        mimic_cxr.read(tmp_path)
    (tmp_path / "mimic-cxr-2.0.0-chexpert.csv.gz").unlink()
    edit_table(tmp_path, "metadata", lambda row: {**row, "dicom_id": row["dicom_id"][:-1] + "a"})
    edit_table(tmp_path, "metadata", lambda row: {**row, "dicom_id": "ffffffff" + row["dicom_id"][8:]})
    with pytest.raises(DataError, match=rf"metadata.csv.gz: none of its {films} rows belongs to a film"):
        mimic_cxr.read(tmp_path)


def test_a_film_twice_in_the_split_table_is_counted_and_films_elsewhere_are_said(drawn: list, tmp_path: Path) -> None:
    layouts.write_mimic_cxr(tmp_path, drawn)
    path = tmp_path / "mimic-cxr-2.0.0-split.csv.gz"
    text = gzip.decompress(path.read_bytes()).decode()
    path.write_bytes(gzip.compress((text + text.splitlines()[-1] + "\n").encode()))
    reading = mimic_cxr.read(tmp_path)
    assert reading.notes["films_named_twice"] == 1
    assert reading.films == sum(len(study.views) for study in drawn)
    for film in (tmp_path / "files").rglob("*.jpg"):
        film.unlink()
    with pytest.raises(
        DataError, match=rf"none of {reading.films} films was found; looked for films such as p.*/s.*jpg"
    ):
        mimic_cxr.read(tmp_path)


def test_a_doubled_row_of_the_official_labels_is_one_and_a_contradiction_is_refused(
    drawn: list, tmp_path: Path
) -> None:
    layouts.write_mimic_cxr(tmp_path, drawn)
    before = mimic_cxr.read(tmp_path)
    path = tmp_path / "mimic-cxr-2.0.0-chexpert.csv.gz"
    text = gzip.decompress(path.read_bytes()).decode()
    last = text.splitlines()[-1]
    path.write_bytes(gzip.compress(f"{text}{last}\n".encode()))
    assert by_id(mimic_cxr.read(tmp_path)).keys() == by_id(before).keys()
    study_id = dict(zip(text.splitlines()[0].split(","), last.split(","), strict=True))["study_id"]
    other = ",".join(study_id if cell == study_id else cell or "-1.0" for cell in last.split(","))
    path.write_bytes(gzip.compress(f"{text}{other}\n".encode()))
    with pytest.raises(DataError, match=rf"row 8: study {study_id} occurs twice, with other labels than before"):
        mimic_cxr.read(tmp_path)


def test_how_many_studies_have_a_report_is_said_with_the_first_that_has_none(drawn: list, tmp_path: Path) -> None:
    layouts.write_mimic_cxr(tmp_path, drawn)
    assert mimic_cxr.read(tmp_path).notes["matched"]["reports"] == "6 of 6 studies have one"
    paths = sorted((tmp_path / "files").rglob("*.txt"))
    paths[1].rename(paths[1].with_name("s69999999.txt"))
    reading = mimic_cxr.read(tmp_path)
    assert reading.notes["matched"]["reports"] == f"5 of 6 studies have one (first that has none: {paths[1].stem[1:]})"
    assert reading.notes["without_report"] == 1
    for path in (path for path in paths if path.is_file()):
        path.rename(path.with_name(f"s6{path.name[2:]}"))
    looked = paths[0].relative_to(tmp_path / "files")
    with pytest.raises(DataError, match=rf"none of its 6 studies has a report; looked for files such as {looked} in"):
        mimic_cxr.read(tmp_path)


# --- CheXpert Plus --------------------------------------------------------------------------------------------------


def test_chexberts_lines_of_other_films_are_refused(drawn: list, tmp_path: Path) -> None:
    layouts.write_chexpert_plus(tmp_path, drawn)
    lines = tmp_path / "chexbert_labels" / "findings_fixed.json"
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert chexpert_plus.read(tmp_path).notes["matched"] == {
        "findings_fixed.json": f"{len(rows)} of {len(rows)} rows match a film of df_chexpert_plus_240401.csv"
    }

    def write(changed: list[dict]) -> None:
        lines.write_text("\n".join(map(json.dumps, changed)))

    write([*rows, rows[0]])
    assert (
        chexpert_plus.read(tmp_path).notes["matched"]["findings_fixed.json"].startswith(f"{len(rows)} of {len(rows)}")
    )
    write([*rows, {**rows[0], "Edema": 0 if rows[0]["Edema"] == 1 else 1}])
    with pytest.raises(DataError, match=rf"line {len(rows) + 1}: film .* occurs twice, with other labels than before"):
        chexpert_plus.read(tmp_path)
    write([{**row, "path_to_image": row["path_to_image"].replace("/patient", "/patient9")} for row in rows])
    with pytest.raises(DataError, match=rf"findings_fixed.json: none of its {len(rows)} rows belongs to a film of df_"):
        chexpert_plus.read(tmp_path)


def test_an_annotation_of_films_that_the_table_lacks_is_refused_and_a_film_is_there_once(
    drawn: list, tmp_path: Path
) -> None:
    layouts.write_chexpert_plus(tmp_path, drawn)
    with (tmp_path / "df_chexpert_plus_240401.csv").open(newline="") as file:
        film = next(csv.DictReader(file))["path_to_image"]
    entry = {"id": "e1", "report": "The lungs are clear.", "image_path": [film, film.replace(".jpg", ".png")]}
    (tmp_path / "annotation.json").write_text(json.dumps({"train": [entry, {**entry, "id": "e2"}]}))
    reading = chexpert_plus.read(tmp_path)
    assert [len(study.views) for study in reading.studies["train"]] == [1]
    assert reading.films == 1
    assert reading.notes["matched"]["annotation.json"].startswith("1 of 1 rows match a film of df_")
    strange = film.replace("/patient", "/patient9")
    (tmp_path / "annotation.json").write_text(json.dumps({"train": [{**entry, "image_path": [strange]}]}))
    with pytest.raises(DataError, match=r"annotation.json: none of its 1 rows belongs to a film of df_"):
        chexpert_plus.read(tmp_path)


def test_a_film_of_no_patients_path_stands_in_one_split(drawn: list, tmp_path: Path) -> None:
    layouts.write_chexpert_plus(tmp_path, drawn)
    (tmp_path / "df_chexpert_plus_240401.csv").unlink()
    write_film(tmp_path / "odd" / "one.png", 0)
    entry = {"id": "e1", "report": "The lungs are clear.", "image_path": ["odd/one.png", "odd/one.jpg"]}
    path = tmp_path / "annotation.json"
    path.write_text(json.dumps({"train": [entry], "test": [{**entry, "id": "e2"}]}))
    with pytest.raises(DataError, match=r"film odd/one.png is in train and in test \(id e2\), which would leak it"):
        chexpert_plus.read(tmp_path)
    path.write_text(json.dumps({"train": [entry, {**entry, "id": "e2"}]}))
    assert chexpert_plus.read(tmp_path).films == 1
