"""The command from a raw IU X-Ray folder to a prepared one, and what it says when something is wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from ammrg.errors import DataError, SettingsError
from ammrg.text.cleaning import clean
from datamodules.prepared import load_split, read_card
from datamodules.sources import iu_xray
from experiments.__main__ import main
from experiments.prepare import prepare

ANNOTATED = {"train": (1, 2, 3, 4), "val": (5, 6), "test": (7, 8)}


def test_the_command_prepares_and_then_is_up_to_date(write_iu, tmp_path, capsys):
    raw, out = write_iu(10, ANNOTATED), tmp_path / "out"
    command = ["prepare", "--dataset", "iu_xray", "--raw", str(raw), "--out", str(out), "--workers", "1"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "card.json" in printed
    assert "Cardiomegaly" in printed
    card = read_card(out)
    assert card["restricted"] is True
    assert card["source"] == "r2gen"
    assert {split: counts["studies"] for split, counts in card["counts"].items()} == {"train": 6, "val": 2, "test": 2}
    assert card["notes"]["joined_train"] == 2
    assert "patient" in card["notes"]["subjects"]
    assert str(tmp_path) not in (out / "card.json").read_text()
    for name in ("contact_sheet.png", "findings.png"):
        with Image.open(out / name) as picture:
            assert min(picture.size) > 400
            assert np.asarray(picture.convert("L")).std() > 5
    written = {path.name: path.stat().st_mtime_ns for path in out.iterdir() if path.is_file()}
    assert main(command) == 0
    assert "up to date" in capsys.readouterr().out
    assert main(["prepare", "--dataset", "iu_xray", "--out", str(out)]) == 0  # nothing to read: RAW is not needed
    assert written == {path.name: path.stat().st_mtime_ns for path in out.iterdir() if path.is_file()}


def test_round_trip_of_every_study(write_iu, tmp_path):
    raw, out = write_iu(10, ANNOTATED), tmp_path / "out"
    prepare("iu_xray", raw, out, workers=1)
    for split, studies in iu_xray.read(raw).studies.items():
        rows = {row["study_id"]: row for row in load_split(out, split)}
        assert len(rows) == len(studies)
        for study in studies:
            row = rows[study.study_id]
            assert row["report"] == clean(study.findings)
            np.testing.assert_array_equal(row["labels"], np.float32(study.labels))
            assert len(row["images"]) == len(study.views)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"size": 64}, "size: 512 .kept. -> 64 .asked."),
        ({"section": "impression"}, "section: findings"),
        ({"seed": 3}, "seed: 0"),
        ({"source": "csv"}, "source: None .kept. -> csv"),
    ],
)
def test_other_settings_over_a_prepared_folder_are_refused_by_name(write_iu, tmp_path, change, named):
    raw, out = write_iu(10, ANNOTATED), tmp_path / "out"
    prepare("iu_xray", raw, out, workers=1)
    with pytest.raises(SettingsError, match=named):
        prepare("iu_xray", raw, out, workers=1, **change)
    with pytest.raises(SettingsError, match="raw: "):
        prepare("iu_xray", tmp_path, out, workers=1)


def test_an_undecodable_film_is_set_aside_and_counted(write_iu, tmp_path, capsys):
    raw, out = write_iu(10, ANNOTATED), tmp_path / "out"
    (raw / "images" / "3_IM-0.dcm.jpg").write_bytes(b"\xff\xd8\xff broken")
    command = ["prepare", "--dataset", "iu_xray", "--raw", str(raw), "--out", str(out), "--workers", "1"]
    assert main(command) == 1
    message = capsys.readouterr().err
    assert "1 of 20 films were set aside" in message
    assert "3_IM-0.dcm.jpg" in message
    assert not (out / "card.json").exists()
    assert main([*command, "--max-rejected", "0.1"]) == 0
    assert read_card(out)["rejected"] == 1
    (line,) = (out / "rejected.jsonl").read_text().splitlines()
    rejected = json.loads(line)
    assert (rejected["study_id"], rejected["film"]) == ("CXR3", "3_IM-0.dcm.jpg")
    assert str(tmp_path) not in line
    row = next(row for row in load_split(out, "train") if row["study_id"] == "CXR3")
    assert row["projections"] == ["lateral"]


def test_raw_missing_or_of_another_layout(write_iu, tmp_path, capsys):
    out = str(tmp_path / "out")
    assert main(["prepare", "--dataset", "iu_xray", "--out", out]) == 1
    assert "--raw" in capsys.readouterr().err
    assert main(["prepare", "--dataset", "iu_xray", "--raw", str(tmp_path / "absent"), "--out", out]) == 1
    assert "found nothing" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["prepare", "--dataset", "r2gen", "--raw", str(tmp_path / "empty"), "--out", out]) == 1
    assert "looked for annotation.json, found an empty folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_without_any_usable_study(write_iu, tmp_path):
    raw = write_iu(3)
    for path in (raw / "images").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="no study"):
        prepare("iu_xray", raw, tmp_path / "out", workers=1)


def test_any_r2gen_annotation_can_be_prepared(write_iu, tmp_path):
    card = prepare("r2gen", write_iu(8, ANNOTATED), tmp_path / "out", workers=1)
    assert {split: counts["studies"] for split, counts in card["counts"].items()} == {"train": 4, "val": 2, "test": 2}
    assert card["restricted"] is True
