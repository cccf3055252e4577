"""What is wrong in a raw folder of CheXpert Plus is told by file, row and field."""

from __future__ import annotations

import json
import shutil

import pytest

from ammrg.errors import DataError, SettingsError
from ammrg.findings import FINDINGS
from datamodules.sources import chexpert_plus
from datamodules.sources.reading import read_source
from tests.datamodules.chexpert_plus.raw_folder import LINES, TABLE, edit, films, table, write_table


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
