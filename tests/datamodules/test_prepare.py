"""The command that prepares a raw IU X-Ray folder, and its error messages."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from PIL import Image

from ammrg.errors import DataError, SettingsError
from ammrg.text.cleaning import clean
from datamodules.prepared import PreparedFolder, load_split, read_card
from datamodules.sources import iu_xray
from experiments.__main__ import main
from experiments.data.preparation import alone, prepare

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
    assert main(["prepare", "--dataset", "iu_xray", "--out", str(out)]) == 0  # nothing to read, so RAW is not needed
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
    assert "1 of 20 films were rejected" in message
    assert "3_IM-0.dcm.jpg" in message
    assert not (out / "card.json").exists()
    assert main([*command, "--max-rejected", "0.1"]) == 0
    assert read_card(out)["rejected"] == 1
    assert "without_readable_film" not in read_card(out)["notes"]  # its lateral film is read
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
        path.write_bytes(b"no film")
    with pytest.raises(DataError, match="no study"):
        prepare("iu_xray", raw, tmp_path / "out", workers=1)
    for path in (raw / "images").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="none of 6 films was found"):
        prepare("iu_xray", raw, tmp_path / "elsewhere", workers=1)


def test_any_r2gen_annotation_can_be_prepared(write_iu, tmp_path):
    card = prepare("r2gen", write_iu(8, ANNOTATED), tmp_path / "out", workers=1)
    assert {split: counts["studies"] for split, counts in card["counts"].items()} == {"train": 4, "val": 2, "test": 2}
    assert card["restricted"] is True


def test_a_cured_film_is_read_by_the_same_command(write_iu, tmp_path):
    raw, out = write_iu(10, ANNOTATED), tmp_path / "out"
    film = raw / "images" / "3_IM-0.dcm.jpg"
    whole = film.read_bytes()
    film.write_bytes(whole[:200])
    with pytest.raises(DataError, match="1 of 20 films were rejected"):
        prepare("iu_xray", raw, out, workers=1)
    film.write_bytes(whole)
    assert prepare("iu_xray", raw, out, workers=1)["rejected"] == 0


def test_strips_and_icons_are_set_aside_with_their_size(write_iu, tmp_path):
    raw, out = write_iu(10, ANNOTATED), tmp_path / "out"
    for number, size in enumerate(((1, 5000), (70_000, 600))):
        Image.new("L", size, 90).save(raw / "images" / f"3_IM-{number}.dcm.png")
        (raw / "images" / f"3_IM-{number}.dcm.jpg").unlink()
    card = prepare("iu_xray", raw, out, workers=1, max_rejected=0.2)
    assert (card["rejected"], card["notes"]["without_readable_film"]) == (2, 1)  # both films of one study
    reasons = [json.loads(line)["reason"] for line in (out / "rejected.jsonl").read_text().splitlines()]
    assert "1 x 5000 pixels" in reasons[0]
    assert "70000 x 600 pixels" in reasons[1]


def test_a_picture_in_colour_and_a_broken_dicom_are_set_aside_with_their_reason(write_iu, tmp_path):
    raw, out = write_iu(10, ANNOTATED), tmp_path / "out"
    Image.new("RGB", (60, 50), (200, 120, 40)).save(raw / "images" / "3_IM-0.dcm.jpg")
    (raw / "images" / "3_IM-1.dcm.jpg").write_bytes(b"\x08\0\x16\0UI\x02\x001\0" + bytes(200))
    assert prepare("iu_xray", raw, out, workers=1, max_rejected=0.2)["rejected"] == 2
    reasons = [json.loads(line)["reason"] for line in (out / "rejected.jsonl").read_text().splitlines()]
    assert reasons[0].startswith("a picture in colour (100% of it")
    assert reasons[1] == "a DICOM file without pixels, or one that is cut off; leave it out, or copy it again"


def test_a_split_without_a_readable_film_is_told(write_iu, tmp_path, capsys):
    raw, out = write_iu(10, ANNOTATED), tmp_path / "out"
    for uid in ANNOTATED["val"]:
        for number in range(2):
            (raw / "images" / f"{uid}_IM-{number}.dcm.jpg").write_bytes(b"zz")
    command = ["prepare", "--dataset", "iu_xray", "--raw", str(raw), "--out", str(out), "--max-rejected", "0.5"]
    assert main(command) == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith("no study in val: training needs train and val, scores need test. Give some patients the ")
    with pytest.raises(DataError) as error:
        PreparedFolder(out).index("val")
    assert str(error.value) == (
        f"{out} has no split 'val'; it has train, test. Give some patients the split val in the raw data (in a table "
        "of your own: in the column split; without this column patients are divided 70/10/20), then prepare them into "
        "another folder"
    )
    assert set(read_card(out)["counts"]) == {"train", "test"}


def test_nothing_of_others_is_touched(write_iu, tmp_path):
    raw, out = write_iu(10, ANNOTATED), tmp_path / "out"
    out.mkdir()
    (out / "my-results.parquet").write_text("mine")
    with pytest.raises(DataError, match="holds other files"):
        prepare("iu_xray", raw, out, workers=1)
    (out / "my-results.parquet").unlink()
    prepare("iu_xray", raw, out, workers=1)
    (out / "card.json").unlink()
    for name in ("my-results.parquet", ".notes.partial"):
        (out / name).write_text("mine")
    prepare("iu_xray", raw, out, workers=1)
    assert (out / "my-results.parquet").read_text() == (out / ".notes.partial").read_text() == "mine"


def test_two_preparations_of_one_folder_do_not_meet(write_iu, tmp_path):
    raw, out = write_iu(10, ANNOTATED), tmp_path / "out"
    out.mkdir()
    held = rf"another process prepares data here \(process {os.getpid()} on"
    with alone(out), pytest.raises(DataError, match=held), alone(out):
        pass
    (out / ".lock").unlink()
    prepare("iu_xray", raw, out, workers=1)


@pytest.mark.parametrize(
    "words",
    [
        ["--size", "0"],
        ["--size", "9999"],
        ["--dataset", "phantom", "--source", "csv"],
        ["--out", "{raw}/images/1_IM-0.dcm.jpg"],
        ["--out", "{raw}/images/1_IM-0.dcm.jpg/below"],
    ],
)
def test_arguments_that_cannot_be_end_with_a_message(write_iu, tmp_path, capsys, words):
    raw = write_iu(3)
    command = ["prepare", "--dataset", "iu_xray", "--raw", str(raw), "--out", str(tmp_path / "out")]
    assert main([*command, *(word.format(raw=raw) for word in words)]) == 1
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--max-rejected", "-1"], ["--max-rejected", "nan"], ["--workers", "-3"]])
def test_numbers_out_of_range_are_refused_by_the_parser(words):
    with pytest.raises(SystemExit):
        main(["prepare", "--dataset", "phantom", *words])


def test_broken_settings_are_named(write_iu, tmp_path):
    raw, out = write_iu(10, ANNOTATED), tmp_path / "out"
    prepare("iu_xray", raw, out, workers=1)
    (out / "prepare.json").write_text("{half")
    with pytest.raises(DataError, match=r"prepare\.json: cannot be read as settings"):
        prepare("iu_xray", raw, out, workers=1)
