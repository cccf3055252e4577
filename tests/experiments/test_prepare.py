"""`python -m experiments prepare` on the phantom."""

from __future__ import annotations

import json

import pytest

from ammrg.errors import SettingsError
from ammrg.types import Box
from datamodules.phantom import PhantomDataModule
from datamodules.prepared import load_split, read_card
from datamodules.sources.phantom import draw_study
from experiments.__main__ import main
from experiments.commands.prepare import split_sizes
from experiments.data.card_table import print_card, unread_reports
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


def test_reports_in_which_nothing_is_recognised_are_told(phantom, tmp_path, capsys):
    card = read_card(phantom)
    assert unread_reports(card) == ""
    unread = {"positive": 0, "negative": 0, "uncertain": 0, "blank": 8}
    for found in card["findings"].values():
        found |= {name: unread for name in found if name != "No Finding"}
    print_card(tmp_path, card)
    assert "no finding is recognised in 16 reports: the labeler reads English" in capsys.readouterr().out
    card["findings"]["train"]["Edema"] = unread | {"positive": 1}
    assert unread_reports(card).startswith("findings, present or absent, are recognised 1 times in 16 reports")


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


def test_versions_of_the_phantom(tmp_path, capsys):
    sizes = {"train": 3, "val": 1, "test": 1}
    first, second = tmp_path / "first", tmp_path / "second"
    command = ["prepare", "--dataset", "phantom", "--studies", "train=3,val=1,test=1", "--size", "64"]
    assert main([*command, "--out", str(first), "--version", "1"]) == 0
    assert main([*command, "--out", str(second)]) == 0
    cards = read_card(first), read_card(second)
    assert [card["settings"]["version"] for card in cards] == [1, 2]
    assert [row["findings"] for row in load_split(first, "train")] == [
        draw_study("train", index, 0, 64, version=1).findings for index in range(3)
    ]
    assert cards[0]["fingerprint"] != cards[1]["fingerprint"]
    for folder, kept, asked in ((first, 1, None), (second, 2, 1)):
        with pytest.raises(SettingsError, match=rf"version: {kept} \(kept\) -> {3 - kept} \(asked\)"):
            prepare("phantom", None, folder, studies=sizes, size=64, version=asked)
    # A folder of before there were versions is version 1.
    settings = json.loads((first / "prepare.json").read_text())
    assert settings.pop("version") == 1
    (first / "prepare.json").write_text(json.dumps(settings))
    with pytest.raises(SettingsError, match=r"version: 1 \(kept\) -> 2 \(asked\)"):
        prepare("phantom", None, first, studies=sizes, size=64)
    assert prepare("phantom", None, first, studies=sizes, size=64, version=1) == cards[0]
    assert "up to date" in capsys.readouterr().out


def test_a_training_on_an_earlier_phantom_says_so_in_a_line(tmp_path, capsys):
    sizes = {"train": 3, "val": 1, "test": 1}
    for version in (1, 2):
        prepare("phantom", None, tmp_path / str(version), studies=sizes, size=64, version=version)
    capsys.readouterr()
    for stage in ("fit", "predict"):
        for version in (1, 2):
            PhantomDataModule(str(tmp_path / str(version)), num_workers=0).setup(stage)
    (told,) = capsys.readouterr().out.splitlines()
    assert told.startswith(f"{tmp_path / '1'} holds version 1 of the phantom; version 2, where every sign has a side")


@pytest.mark.parametrize("studies", ["train=8,dev=2", "train", "train=x", "train=-1"])
def test_wrong_split_sizes(studies, tmp_path):
    with pytest.raises(SystemExit):
        main(["prepare", "--dataset", "phantom", "--out", str(tmp_path), "--studies", studies])


def test_wrong_settings(tmp_path):
    with pytest.raises(SettingsError, match="--studies is for the phantom"):
        prepare("iu_xray", tmp_path, tmp_path / "out", studies={"train": 1})
    with pytest.raises(SettingsError, match="--version is for the phantom; there is one version of iu_xray"):
        prepare("iu_xray", tmp_path, tmp_path / "out", version=1)
    with pytest.raises(SettingsError, match="--version 3: the phantom has the versions 1 and 2"):
        prepare("phantom", None, tmp_path / "out", version=3)
    with pytest.raises(SettingsError, match="--size 8"):
        prepare("phantom", None, tmp_path / "out", size=8)
    with pytest.raises(SettingsError, match="known"):
        prepare("mimic", tmp_path, tmp_path / "out")
