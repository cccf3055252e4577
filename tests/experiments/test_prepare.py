"""`python -m experiments prepare` on the phantom."""

from __future__ import annotations

import pytest

from ammrg.errors import SettingsError
from ammrg.types import Box
from datamodules.prepared import load_split, read_card
from datamodules.sources.phantom import draw_study
from experiments.__main__ import main
from experiments.commands.prepare import split_sizes
from experiments.data.preparation import prepare

STUDIES = "train=8,val=4,test=4"


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    out = tmp_path_factory.mktemp("phantom") / "prepared"
    command = [
        "prepare",
        "--dataset",
        "phantom",
        "--out",
        str(out),
        "--studies",
        STUDIES,
        "--size",
        "64",
        "--seed",
        "3",
    ]
    assert main(command) == 0
    return out


def test_the_card_holds_what_it_was_made_with(phantom):
    card = read_card(phantom)
    assert card["restricted"] is False
    assert card["seed"] == 3
    assert card["size"] == 64
    assert card["settings"]["studies"] == {"train": 8, "val": 4, "test": 4}
    assert {split: counts["studies"] for split, counts in card["counts"].items()} == {"train": 8, "val": 4, "test": 4}
    assert card["rejected"] == 0
    assert (phantom / "contact_sheet.png").is_file()
    assert (phantom / "findings.png").is_file()


def test_rows_are_the_drawn_studies(phantom):
    for index, row in enumerate(load_split(phantom, "train")):
        drawn = draw_study("train", index, 3, 64)
        assert (row["study_id"], row["subject_id"]) == (drawn.study_id, drawn.subject_id)
        assert row["findings"] == drawn.findings
        assert row["projections"] == [view.projection for view in drawn.views]
        found = [Box(**box) for box in row["boxes"]]
        assert [box[:2] for box in found] == [box[:2] for box in drawn.boxes]
        assert all(
            abs(a - b) < 1e-6
            for one, two in zip(found, drawn.boxes, strict=True)
            for a, b in zip(one, two, strict=True)
        )


def test_the_same_call_is_up_to_date_and_another_is_refused(phantom, capsys):
    sizes = split_sizes(STUDIES)
    before = (phantom / "train-00000.parquet").stat().st_mtime_ns
    prepare("phantom", None, phantom, studies=sizes, size=64, seed=3)
    assert "up to date" in capsys.readouterr().out
    with pytest.raises(SettingsError, match=r"studies\.train: 8 \(kept\) -> 9 \(asked\)"):
        prepare("phantom", None, phantom, studies={**sizes, "train": 9}, size=64, seed=3)
    with pytest.raises(SettingsError, match="seed: 3"):
        prepare("phantom", None, phantom, studies=sizes, size=64, seed=4)
    assert before == (phantom / "train-00000.parquet").stat().st_mtime_ns


@pytest.mark.parametrize("studies", ["train=8,dev=2", "train", "train=x", "train=-1"])
def test_wrong_split_sizes(studies, tmp_path):
    with pytest.raises(SystemExit):
        main(["prepare", "--dataset", "phantom", "--out", str(tmp_path), "--studies", studies])


def test_wrong_settings(tmp_path):
    with pytest.raises(SettingsError, match="--studies is for the phantom"):
        prepare("iu_xray", tmp_path, tmp_path / "out", studies={"train": 1})
    with pytest.raises(SettingsError, match="--size 8"):
        prepare("phantom", None, tmp_path / "out", size=8)
    with pytest.raises(SettingsError, match="known"):
        prepare("mimic", tmp_path, tmp_path / "out")
