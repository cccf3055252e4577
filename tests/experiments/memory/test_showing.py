"""memory show and memory associations, on banks written as the writers write them."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from ammrg.findings import FINDINGS
from ammrg.memory.bank import FORMAT
from ammrg.memory.bank_files import load, save
from ammrg.metrics.associations import AssociationScores
from experiments.__main__ import main
from tests.experiments.memory.banks import STUDIES, make, memories_with_pages, meta_of
from tests.unchecked import UNCHECKED


def test_show_counts_names_neighbours_and_draws(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory", "show", str(path), "--map", str(path.parent / "map.png"), "--neighbours", "2"]) == 0
    shown = capsys.readouterr().out
    flat = " ".join(shown.split())
    assert "4 studies of 3 patients, split train" in flat
    assert load(path, UNCHECKED).fingerprint in flat
    if path.name == "regions":
        assert "22 patterns of 8 numbers" in flat
        assert "14 patterns without owner (disease queries), 0 with several" in flat
        assert FINDINGS[2] in flat
        assert "its regions have no places (an earlier version wrote it)" in flat
    else:
        assert "Pleural Effusion" in flat  # read from the texts
        assert "of s3." in flat
    picture = cv2.imread(str(path.parent / "map.png"))
    assert picture is not None
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_show_counts_the_places_of_regions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bank = make("regions", STUDIES)
    places = bank.places.clone()
    places[-3:, 0] = True
    save(dataclasses.replace(bank, places=places), tmp_path / "regions")
    assert main(["memory", "show", str(tmp_path / "regions")]) == 0
    assert "3 regions have one" in " ".join(capsys.readouterr().out.split())


def test_show_lists_the_neighbours_of_what_is_asked_for(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory", "show", str(path), "--of", "s3", "0", "--neighbours", "1"]) == 0
    lines = capsys.readouterr().out.split("nearest patterns of other patients (cosine)")[1].splitlines()
    asked = [line for line in lines if line and not line.startswith(" ")]
    assert len(asked) == (3 if path.name == "regions" else 2)
    assert "study s3" in asked[0]
    near = [line for line in lines if line.startswith("    ")]
    assert len(near) == len(asked)
    assert "study s3" not in near[0]
    assert main(["memory", "show", str(path), "--of", "s9"]) == 1
    assert "--of s9: neither a study that owns a pattern" in capsys.readouterr().err


def test_show_lists_the_banks_of_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = memories_with_pages(tmp_path / "m")
    assert main(["memory", "show", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert load(folder / "regions", UNCHECKED).fingerprint in shown
    assert load(folder / "reports", UNCHECKED).fingerprint in shown
    assert main(["memory", "show", str(folder), "--of", "s1"]) == 1
    assert "--of and --map need one bank" in capsys.readouterr().err
    (tmp_path / "none").mkdir()
    assert main(["memory", "show", str(tmp_path / "none")]) == 1
    assert "none: no memory bank in this folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--neighbours", "-1"], ["--neighbours", "0"], ["--map", "m"], ["--map", "m.txt"], ["--map", "a_folder"]]
)
def test_options_out_of_range_are_refused_at_once(
    path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["memory", "show", str(path), *words])
    assert stop.value.code == 2
    assert f"argument {words[0]}: {words[1]!r}" in capsys.readouterr().err


@pytest.mark.parametrize("top", ["0", "-3", "2.5"])
def test_associations_of_no_region_are_refused_before_any_work(top: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["memory", "associations", "no_such_run", f"--top={top}"])
    assert f"argument --top: {top!r}: must be a whole number of at least 1" in capsys.readouterr().err


def test_associations_fit_a_terminal_of_80_columns() -> None:
    from experiments.memories.measures import association_table

    scores = AssociationScores(top=0.5, top_k=0.4, weight=0.3, chance=0.1, on_regions=1.0, queries=1000)
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(association_table(scores, dict.fromkeys(FINDINGS, scores), 5))
    shown = console.export_text()
    assert all(name in shown for name in FINDINGS)
    assert "…" not in shown


def test_what_cannot_be_shown_or_written_is_one_message(
    path: Path, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path.parent / "file").write_text("")
    (path.parent / "taken.png").mkdir()
    for picture in (path.parent / "file" / "map.png", path.parent / "taken.png"):
        assert main(["memory", "show", str(path), "--map", str(picture)]) == 1
        assert f"--map {picture}: cannot be written" in capsys.readouterr().err
    assert main(["memory", "show", str(path), "--of", "²"]) == 1  # a digit, but no number
    assert "--of ²: neither a study" in capsys.readouterr().err
    save(make(path.name, [("s5", "p5")], seed=1), path.parent / "new")
    save(dataclasses.replace(load(path, UNCHECKED), meta=meta_of(path, prepared)), path)
    words = ["--out", f"{path.parent}/file/both", "--data", str(prepared)]
    assert main(["memory", "merge", str(path), str(path.parent / "new"), *words]) == 1
    assert "both.safetensors: cannot be written" in capsys.readouterr().err


def test_files_can_be_read_without_this_project(path: Path) -> None:
    from safetensors.numpy import load_file

    tensors = load_file(path.with_suffix(".safetensors"))
    sidecar = json.loads(path.with_suffix(".json").read_text())
    assert tensors["patterns"].shape == (sidecar["count"], sidecar["width"])
    assert len(sidecar["study_ids"]) == sidecar["count"]
    assert sidecar["format"] == FORMAT
