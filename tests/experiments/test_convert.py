"""`python -m experiments convert`."""

from __future__ import annotations

import csv
import json

import pytest
from PIL import Image

from datamodules.sources.phantom import generate, layouts
from experiments.__main__ import main
from experiments.data.preparation import prepare


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    out = tmp_path_factory.mktemp("phantom") / "prepared"
    prepare("phantom", None, out, studies={"train": 4, "val": 2, "test": 3}, size=64, workers=1)
    return out


@pytest.mark.parametrize(("layout", "name"), [("r2gen", "annotation.json"), ("rexrank", "rexrank_test.json")])
def test_the_command_writes_and_says_where(phantom, tmp_path, capsys, layout, name):
    command = ["convert", "--data", str(phantom), "--to", layout, "--out", str(tmp_path / "out"), "--split", "test"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert str(tmp_path / "out" / name) in printed
    assert "3 studies (test), " in printed
    assert "restricted" not in printed
    content = json.loads((tmp_path / "out" / name).read_text())
    studies = content["test"] if layout == "r2gen" else list(content.values())
    assert len(studies) == 3
    for study in studies:
        for film in study["image_path"]:
            with Image.open(tmp_path / "out" / "images" / film) as image:
                assert (image.format, image.mode, min(image.size)) == ("JPEG", "L", 64)
    assert main(command) == 1
    assert "exists already" in capsys.readouterr().err


def test_all_splits_without_asking(phantom, tmp_path, capsys):
    assert main(["convert", "--data", str(phantom), "--to", "rexrank", "--out", str(tmp_path)]) == 0
    assert "9 studies (train, val, test)" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.glob("*.json")) == [
        "rexrank_test.json",
        "rexrank_train.json",
        "rexrank_val.json",
    ]


def test_restricted_data_must_stay(tmp_path, capsys):
    layouts.write_iu_xray(tmp_path / "raw", generate({"train": 3, "val": 1, "test": 1}, seed=1, size=64))
    with (tmp_path / "raw" / "indiana_reports.csv").open(newline="") as file:
        texts = [row["findings"] for row in csv.DictReader(file)]
    prepare("iu_xray", tmp_path / "raw", tmp_path / "iu", size=64, workers=1)
    command = ["convert", "--data", str(tmp_path / "iu"), "--to", "r2gen", "--out", str(tmp_path / "out")]
    capsys.readouterr()
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "iu_xray is restricted: this copy must stay on this machine" in printed
    assert not any(text in printed for text in texts)


def test_wrong_calls(phantom, tmp_path, capsys):
    assert main(["convert", "--data", str(tmp_path), "--to", "r2gen", "--out", str(tmp_path / "out")]) == 1
    assert "contains no prepared data" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["convert", "--data", str(phantom), "--to", "coco", "--out", str(tmp_path / "out")])
    assert "invalid choice: 'coco'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
