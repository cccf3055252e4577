"""The tutorials and the page to reproduce the paper: their blocks of code run, or are at least commands that exist."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from ammrg.__main__ import main
from datamodules.sources.csv import read
from datamodules.sources.phantom.studies import draw_study
from tests.test_makefile import make
from tests.tiny_export import random_model, write

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
RUNS = "<!-- tests/test_tutorials.py r"  # runs, or reads


def commands(page: str, start: str) -> list[list[str]]:
    """Words of the commands in a page's blocks of code."""
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    lines = [line for kind, block in blocks if not kind for line in block.splitlines() if line.startswith(start)]
    assert lines
    return [shlex.split(line.removeprefix(start)) for line in lines]


def films(study: int, folder: Path) -> list[str]:
    """Draw the films of a study; returns their names."""
    names = []
    for number, view in enumerate(draw_study("test", study, size=64).views):
        assert isinstance(view.image, bytes)
        names.append(f"{study}_{number}.png")
        folder.mkdir(parents=True, exist_ok=True)
        Image.open(io.BytesIO(view.image)).save(folder / names[-1])
    return names


def test_there_is_a_tutorial_for_each_reader() -> None:
    assert [page.stem for page in PAGES] == ["archive", "own_data", "shared_task"]
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert RUNS in text
        assert len(text.split()) < 900


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("page", ["tutorials/own_data", "tutorials/archive", "reproduce"])
def test_make_knows_the_commands(page: str, tmp_path: Path) -> None:
    place = [f"{name}={tmp_path}/{name}" for name in ("OUT", "DATA", "MODELS", "VENV")]
    (tmp_path / "VENV").mkdir()
    (tmp_path / "VENV" / ".stamp").touch()
    for run in ("csv/first", "phantom/quick", "mimic_cxr/paper"):  # what only uses a run finds it trained
        stage2 = tmp_path / "OUT" / run / "stage2"
        stage2.mkdir(parents=True)
        (stage2 / "manifest.json").touch()
    Image.new("L", (64, 64)).save(tmp_path / "film.png")
    for words in filter(["env"].__ne__, commands(page, "make ")):
        given = [word.replace("IMAGE=film.png", f"IMAGE={tmp_path}/film.png") for word in words]
        done = make("-n", *given, *place)
        assert done.returncode == 0, (words, done.stderr)
        assert "experiments" in done.stdout, words


def test_the_table_of_the_page_is_read(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "tutorials" / "own_data.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"```csv\n(.*?)```", page, re.DOTALL)
    (tmp_path / "studies.csv").write_text(table)
    for number, name in enumerate(row.partition(",")[0] for row in table.splitlines()[1:]):
        (first, *_) = films(number, tmp_path / "drawn")
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / "drawn" / first, tmp_path / "images" / name)
    found = read(tmp_path)
    assert {split: len(studies) for split, studies in found.studies.items()} == {"train": 1, "val": 1, "test": 1}
    assert len(found.studies["train"][0].views) == 2
    assert not found.rejected


def test_the_films_of_an_archive_are_described(
    llm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, *others = commands("tutorials/archive", "ammrg ")
    write(Path("outputs/phantom/quick/export"), random_model(llm_folder))
    for study in range(2):
        films(study, Path("films/images") / str(study))
    assert main(first) == 0
    assert len(Path("reports/reports.jsonl").read_text().splitlines()) == 2
    (folder, _) = sorted(Path("reports").glob("study-*"))
    assert {path.name for path in folder.iterdir()} >= {"report.html", "report.json"}
    assert {"warnings", "distance_from_training", "trained_on"} <= set(json.loads((folder / "report.json").read_text()))
    for (
        words
    ) in others:  # they need DICOM films and an archive; here their options are read, and the model is not there
        assert main(words) == 1


def test_submissions_are_scored_and_ranked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy, *_ = commands("tutorials/shared_task", "cp -r ")
    shutil.copytree(ROOT / copy[0], tmp_path / copy[1])
    monkeypatch.chdir(tmp_path / copy[1])
    for words in commands("tutorials/shared_task", "head "):
        subprocess.run(["bash", "-c", " ".join(["head", *words])], check=True)
    for words in commands("tutorials/shared_task", "ammrg "):
        assert main([*words, "--quiet", "--bootstrap", "50"]) == 0
    made = {path.as_posix() for path in Path().rglob("*") if path.is_file()}
    assert made >= {f"ranking/ranking.{kind}" for kind in ("html", "md", "csv", "tex")}
    assert "alarms" in json.loads(Path("ranking/scores/B.json").read_text())
    assert "B lacks 2" in Path("ranking_common/ranking.md").read_text()
