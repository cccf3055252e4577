"""Shards return what was written, with any number of workers and however often writing was interrupted."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ammrg.errors import DataError
from ammrg.text.cleaning import clean
from ammrg.types import Box, Study, View
from datamodules import shards
from datamodules.card import reasons
from datamodules.prepared import load_split, read_card
from datamodules.shards import write_shards
from datamodules.sources.source_reading import Rejection, SourceReading

ROOT = Path(__file__).parents[2]
NAN = float("nan")
SETTINGS = {"dataset": "test", "section": "findings", "seed": 0, "size": 48}


def film(seed: int, width: int = 90, height: int = 70) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def make_study(number: int, split: str = "train", views: int = 2, **fields: object) -> Study:
    names = ("frontal", "lateral", "unknown")
    study = Study(
        study_id=f"{split}{number}",
        subject_id=f"{split}-p{number // 2}",
        split=split,
        views=tuple(View(png(film(number * 10 + view)), names[view % 3]) for view in range(views)),
        findings=f"Findings  of {split} {number} .",
        impression=f"Impression {number}.",
        indication="Cough.",
        labels=(1.0, 0.0, -1.0, NAN) + (NAN,) * 10,
        source="test",
        boxes=(Box(views - 1, 2, 0.125, 0.25, 0.5, 0.75),),
    )
    return study._replace(**fields)


def make_reading(train: int = 5, val: int = 2, test: int = 2) -> SourceReading:
    counts = {"train": train, "val": val, "test": test}
    studies = {split: [make_study(i, split) for i in range(count)] for split, count in counts.items()}
    return SourceReading(studies, "test", films=2 * sum(counts.values()))


def write(reading: SourceReading, folder: Path, **options: object) -> dict[str, object]:
    options = {"workers": 1, "size": 48, "section": "findings", **options}
    return write_shards(reading, folder, dataset="test", settings=SETTINGS, **options)


def contents(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir()) if path.is_file()
    }


def test_what_goes_in_comes_out(tmp_path):
    reading = make_reading()
    write(reading, tmp_path)
    rows = sorted(load_split(tmp_path, "train"), key=lambda row: row["study_id"])
    for row, study in zip(rows, reading.studies["train"], strict=True):
        assert row["study_id"] == study.study_id
        assert row["subject_id"] == study.subject_id
        assert (row["findings"], row["impression"], row["indication"]) == (study.findings, study.impression, "Cough.")
        assert row["report"] == clean(study.findings)
        np.testing.assert_array_equal(row["labels"], np.float32(study.labels))
        assert row["projections"] == ["frontal", "lateral"]
        assert [Box(**box) for box in row["boxes"]] == [study.boxes[0]]
        for data, view in zip(row["images"], study.views, strict=True):
            with Image.open(io.BytesIO(data)) as image:
                assert (image.format, image.mode) == ("JPEG", "L")
                assert min(image.size) == 48
                wanted = Image.open(io.BytesIO(view.image)).resize(image.size, Image.Resampling.BOX)
                assert np.abs(np.asarray(image).astype(int) - np.asarray(wanted)).mean() < 3


def test_training_studies_are_laid_in_an_order_of_the_seed_and_others_as_they_came(tmp_path):
    reading = make_reading(30, 9, 9)
    write(reading, tmp_path)
    order = list(load_split(tmp_path, "train")["study_id"])
    assert order != sorted(order, key=lambda name: int(name.removeprefix("train")))
    assert sorted(order) == sorted(study.study_id for study in reading.studies["train"])
    for split in ("val", "test"):
        assert list(load_split(tmp_path, split)["study_id"]) == [study.study_id for study in reading.studies[split]]
    options = {"dataset": "test", "size": 48, "section": "findings", "workers": 1}
    write_shards(reading, tmp_path / "other", settings={**SETTINGS, "seed": 1}, **options)
    assert list(load_split(tmp_path / "other", "train")["study_id"]) != order


def test_small_films_are_not_enlarged_and_their_aspect_stays(tmp_path):
    card = write(make_reading(), tmp_path, size=512)
    with Image.open(io.BytesIO(load_split(tmp_path, "val")[0]["images"][0])) as image:
        assert image.size == (90, 70)
    assert card["sizes"] == {"short_side_min": 70, "short_side_median": 70, "short_side_max": 70}


def test_the_card_counts(tmp_path):
    reading = make_reading(5, 2, 2)
    unlabelled = make_study(9, "train", views=1, labels=(NAN,) * 14, boxes=())
    copied = make_study(9, "test", findings="findings of TRAIN 0.")
    reading = reading._replace(
        studies={**reading.studies, "train": [*reading.studies["train"], unlabelled], "test": [copied]}
    )
    card = write(reading, tmp_path)
    assert read_card(tmp_path) == card
    assert card["counts"]["train"] == {
        "studies": 6,
        "subjects": 4,
        "views": 11,
        "frontal": 6,
        "lateral": 5,
        "unknown": 0,
        "unlabelled": 1,
    }
    assert card["findings"]["train"]["Enlarged Cardiomediastinum"]["positive"] == 5
    assert card["findings"]["train"]["Lung Opacity"] == {"positive": 0, "negative": 0, "uncertain": 5, "blank": 1}
    assert card["texts_shared_with_train"] == {"val": 0, "test": 1}
    assert card["restricted"] is True
    assert card["rejected"] == 0


def test_the_content_does_not_depend_on_workers(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "STUDIES_PER_SHARD", 3)
    monkeypatch.setattr(shards, "FEW_STUDIES", 0)
    reading = make_reading(10, 2, 3)
    one = write(reading, tmp_path / "one", workers=1)
    two = write(reading, tmp_path / "two", workers=2)
    assert one == two
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert len(list((tmp_path / "one").glob("train-*.parquet"))) == 4
    monkeypatch.setattr(shards, "STUDIES_PER_SHARD", 128)
    assert write(reading, tmp_path / "whole")["fingerprint"] == one["fingerprint"]
    changed = make_reading(10, 2, 3)
    changed.studies["test"][0] = changed.studies["test"][0]._replace(indication="Fever.")
    assert write(changed, tmp_path / "changed")["fingerprint"] != one["fingerprint"]


def test_finished_shards_are_kept_and_broken_or_stale_ones_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "STUDIES_PER_SHARD", 2)
    reading = make_reading(6, 2, 2)
    write(reading, tmp_path)
    before = contents(tmp_path)
    (tmp_path / "train-00001.parquet").write_bytes(b"half a file")
    (tmp_path / "train-00009.parquet").write_bytes((tmp_path / "train-00000.parquet").read_bytes())
    (tmp_path / ".train-00000.parquet.77.partial").write_bytes(b"left by a kill")
    (tmp_path / "card.json").unlink()
    made = []
    original = shards.make_shard
    monkeypatch.setattr(shards, "make_shard", lambda job: (made.append(job.path.name), original(job)))
    write(reading, tmp_path)
    assert made == ["train-00001.parquet"]
    assert contents(tmp_path) == before
    reading.studies["val"][1] = reading.studies["val"][1]._replace(findings="Another text.")
    made.clear()
    write(reading, tmp_path)
    assert made == ["val-00000.parquet"]


KILLED = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
from pathlib import Path
from test_shards import make_reading, shards, write
shards.STUDIES_PER_SHARD, shards.FEW_STUDIES = 2, 0
if __name__ == "__main__":
    write(make_reading(24, 4, 4), Path({folder!r}), workers={workers})
"""


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
def test_workers_end_with_a_parent_that_was_killed(tmp_path):
    folder, script = tmp_path / "killed", tmp_path / "killed.py"
    places = {"root": str(ROOT), "tests": str(Path(__file__).parent), "folder": str(folder)}
    script.write_text(KILLED.format(**places, workers=2))
    mark = f"AMMRG_TEST={tmp_path}"

    def alive() -> list[int]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark.encode() in (process / "environ").read_bytes():
                    found.append(int(process.name))
            except OSError:  # it has ended, or is another user's
                continue
        return found

    environment = {**os.environ, "AMMRG_TEST": str(tmp_path)}
    process = subprocess.Popen([sys.executable, str(script)], env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(folder.glob("*.parquet")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    assert len(alive()) > 2
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while alive() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert alive() == []


def test_unreadable_films_are_set_aside_with_reason_and_their_boxes(tmp_path):
    reading = make_reading(60, 2, 2)
    broken = make_study(100, "train", views=3)
    broken = broken._replace(
        views=(broken.views[0], View(b"not a film", "lateral"), broken.views[2]),
        boxes=(Box(0, 1, 0.0, 0.0, 0.5, 0.5), Box(1, 2, 0.0, 0.0, 0.5, 0.5), Box(2, 3, 0.0, 0.0, 0.5, 0.5)),
    )
    reading.studies["train"].append(broken)
    card = write(reading, tmp_path)
    assert card["rejected"] == 1
    (line,) = [json.loads(line) for line in (tmp_path / "rejected.jsonl").read_text().splitlines()]
    assert line["study_id"] == "train100"
    assert line["film"] == "view 2"
    assert "cannot be decoded" in line["reason"]
    row = next(row for row in load_split(tmp_path, "train") if row["study_id"] == "train100")
    assert row["projections"] == ["frontal", "unknown"]
    assert [(box["view"], box["finding"]) for box in row["boxes"]] == [(0, 1), (1, 3)]


def test_an_unreadable_film_is_named_by_its_path_in_the_folder_of_films(tmp_path):
    reading = make_reading(4, 2, 2)
    for place, film in enumerate((tmp_path / "raw" / "a" / "front.png", tmp_path / "elsewhere" / "front.png")):
        film.parent.mkdir(parents=True)
        film.write_bytes(b"not a film")
        study = make_study(90 + place, "train", views=1)
        reading.studies["train"].append(study._replace(views=(View(film, "frontal"),), boxes=()))
    write(reading._replace(film_folder=tmp_path / "raw"), tmp_path / "out", max_rejected=0.5)
    lines = [json.loads(line) for line in (tmp_path / "out" / "rejected.jsonl").read_text().splitlines()]
    assert sorted(line["film"] for line in lines) == ["a/front.png", "front.png"]


def test_more_rejected_than_allowed_fails_at_the_end_and_says_so(tmp_path):
    reading = make_reading(20, 2, 2)
    bad = make_study(50, "train", views=1)._replace(views=(View(b"nothing", "frontal"),), boxes=())
    reading.studies["train"].append(bad)
    with pytest.raises(DataError, match=r"1 of 49 films were rejected, more than the 0 \(1\.0%\) allowed") as error:
        write(reading, tmp_path)
    assert "read yet" not in str(error.value)
    assert not (tmp_path / "card.json").exists()
    assert len((tmp_path / "rejected.jsonl").read_text().splitlines()) == 1
    card = write(reading, tmp_path, max_rejected=0.1)
    assert card["counts"]["train"]["studies"] == 20  # the study had no other film


def test_a_few_bad_films_among_few_are_told_with_their_reasons_and_the_option_that_allows_them(tmp_path):
    missing = [Rejection("s", f"{number}.png", "no such file") for number in range(3)]
    others = [Rejection("s", f"{name}.png", f"reason {name}") for name in "abcd"]
    reading = make_reading(20, 2, 2)._replace(films=150, rejected=(*others[:1], *missing))
    with pytest.raises(DataError) as error:
        write(reading, tmp_path)
    assert str(error.value) == (
        "4 of 150 films were rejected, more than the 1 (1.0%) allowed:\n"
        "  0.png and 2 more: no such file\n"
        "  a.png: reason a\n"
        f"All are listed in {tmp_path / 'rejected.jsonl'}; repair them, or allow them with --max-rejected 0.03 (make "
        'data PREPARE="--max-rejected 0.03"). The other films have not been read yet; some of them may be rejected too.'
    )
    assert not list(tmp_path.glob("*.parquet"))  # missing films are told before the others are read
    assert write(reading, tmp_path, max_rejected=0.03)["rejected"] == 4
    assert reasons([*others, *missing])[2:] == ["b.png: reason b", "and 2 other reasons"]


@pytest.mark.parametrize("rejected", [29, 57, 58])
def test_the_share_that_is_named_suffices(tmp_path, rejected):
    reading = make_reading(20, 2, 2)._replace(films=100, rejected=(Rejection("s", "a.png", "gone"),) * rejected)
    with pytest.raises(DataError, match=f"--max-rejected 0.{rejected} "):
        write(reading, tmp_path)
    assert write(reading, tmp_path, max_rejected=float(f"0.{rejected}"))["rejected"] == rejected


def test_a_patient_in_two_splits_is_an_error_that_names_them(tmp_path):
    reading = make_reading()
    reading.studies["val"][0] = reading.studies["val"][0]._replace(subject_id="train-p1")
    with pytest.raises(DataError, match="train-p1 in train and val"):
        write(reading, tmp_path)
    twice = make_reading()
    twice.studies["test"].append(twice.studies["test"][0])
    with pytest.raises(DataError, match="test0 occurs twice"):
        write(twice, tmp_path)


def test_sections(tmp_path):
    write(make_reading(), tmp_path / "impression", section="impression")
    assert load_split(tmp_path / "impression", "val")[1]["report"] == "Impression 1."
    write(make_reading(), tmp_path / "both", section="both")
    assert load_split(tmp_path / "both", "val")[1]["report"] == "Findings of val 1. Impression 1."


def test_unprepared_broken_and_other_version_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="make data"):
        read_card(tmp_path)
    write(make_reading(), tmp_path)
    with pytest.raises(DataError, match=r"no split 'dev'.*train, val, test"):
        load_split(tmp_path, "dev")
    card = json.loads((tmp_path / "card.json").read_text())
    (tmp_path / "train-00000.parquet").unlink()
    with pytest.raises(DataError, match="contain 0 studies, but the card says 5"):
        load_split(tmp_path, "train")
    (tmp_path / "card.json").write_text(json.dumps({**card, "version": 0}))
    with pytest.raises(DataError, match="version 0"):
        read_card(tmp_path)
    (tmp_path / "card.json").write_text("{")
    with pytest.raises(DataError, match="card"):
        read_card(tmp_path)


def test_shards_open_without_this_code(tmp_path):
    write(make_reading(), tmp_path)
    table = pq.read_table(tmp_path / "val-00000.parquet").to_pandas()
    assert list(table.study_id) == ["val0", "val1"]
