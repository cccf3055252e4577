"""One film described by a run."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from ammrg.findings import FINDINGS
from ammrg.inference.description import WORTHLESS
from ammrg.inference.memory_note import UNKNOWN
from datamodules.sources.phantom import draw_study
from experiments.__main__ import main
from tests.pipeline.nano_run import Run


def test_describe_writes_a_report_for_one_film(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    film = run.root / "film.png"
    film.write_bytes(draw_study("test", 0, 0, 128).views[0].image)
    assert main(["describe", str(film), "--run", str(run.folder), "--out", str(run.root / "described")]) == 0
    assert "Not for diagnosis" in capsys.readouterr().out
    found = json.loads((run.root / "described" / "report.json").read_text())
    assert set(found["findings"]) == set(FINDINGS)
    assert (run.root / "described" / "panel.png").stat().st_size > 0
    assert main(["describe", str(film), "--model", "exported", "--data", str(run.data)]) == 1
    assert "--data is for --run" in capsys.readouterr().err

    assert set(found["thresholds"]) == set(FINDINGS)
    assert isinstance(found["warnings"], list)
    assert found["trained_on"]["dataset"] == "phantom"
    assert "trained on drawn films" in found["trained_on"]["sentence"]
    assert len(found["distance_from_training"]["distances"]) == 1
    reasons = found["reasons"]
    meta = json.loads((run.folder / "reports.meta.json").read_text())
    assert reasons["influence_threshold"] == meta["influence_threshold"]
    assert ("No recalled case bears on this report" in reasons["sentence"]) is (reasons["patterns"] == [])
    assert all(listed[0]["influence"] is not None for listed in found["recalled"].values())
    film.write_bytes(film.read_bytes()[:100])
    assert main(["describe", str(film), "--run", str(run.folder)]) == 1
    assert "film.png" in capsys.readouterr().err


@pytest.mark.parametrize(("low", "warns"), [(-0.1, True), (0.0, True), (0.1, False), (None, False)])
def test_a_model_that_a_constant_report_equals_says_so(
    run: Run, tmp_path: Path, low: float | None, warns: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, film = tmp_path / "run", tmp_path / "film.png"
    shutil.copytree(run.folder, copy)
    scores = json.loads((copy / "scores.json").read_text())
    beside = scores["differences"]["baselines"]
    assert beside["best_constant_cider"]["cider"].keys() >= {"low"}
    below = {"value": 0.0, "low": -0.5, "high": 0.5}
    gap = {"cider": {**below, "low": low}, "clinical_micro_f1_13_neg": below}
    scores["differences"]["baselines"] = {} if low is None else {"best_constant_cider": gap, "nearest_image": gap}
    (copy / "scores.json").write_text(json.dumps(scores))
    film.write_bytes(draw_study("test", 0, 0, 128).views[0].image)
    assert main(["export", str(copy), "--data", str(run.data), "--out", str(tmp_path / "exported")]) == 0
    for model in (["--run", str(copy), "--data", str(run.data)], ["--model", str(tmp_path / "exported")]):
        assert main(["describe", str(film), *model, "--out", str(tmp_path / "out")]) == 0
        told = " ".join(capsys.readouterr().out.split())
        found = json.loads((tmp_path / "out" / "report.json").read_text())
        assert (WORTHLESS in found["warnings"]) == (WORTHLESS in told) == warns
        private = [path.name for path in (tmp_path / "out").iterdir() if path.stat().st_mode & 0o077 == 0]
        assert sorted(private) == ["panel.png", "report.html", "report.json"]


@pytest.mark.parametrize("change", [{"influence_threshold": None}, {"checkpoint": "0123456789abcdef"}])
def test_reports_of_an_earlier_version_or_checkpoint_tell_no_influence(
    run: Run, tmp_path: Path, change: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    copy, film = tmp_path / "run", tmp_path / "film.png"
    shutil.copytree(run.folder, copy)
    meta = json.loads((copy / "reports.meta.json").read_text())
    (copy / "reports.meta.json").write_text(json.dumps({**meta, **change}))
    film.write_bytes(draw_study("test", 0, 0, 128).views[0].image)
    words = ["describe", str(film), "--run", str(copy), "--data", str(run.data), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    assert "similar cases" in capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    assert found["reasons"] == {"influence_threshold": None, "patterns": [], "sentence": UNKNOWN}
    assert all(each["influence"] is None for each in found["reports"])


def test_the_page_s_lines_in_python_run_as_they_stand(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "describe.md").read_text()
    lines = re.search(r"## From Python\n\n.*?\n```python\n(.*?)```", page, re.DOTALL)
    assert lines is not None
    assert main(["export", str(run.folder), "--out", str(tmp_path / "exported" / "phantom")]) == 0
    monkeypatch.chdir(tmp_path)
    (tmp_path / "archive" / "first").mkdir(parents=True)
    (tmp_path / "archive" / "second").mkdir()
    study = draw_study("test", 3, 0, 128)
    for name in ("front.png", "archive/first/film.png"):
        Path(name).write_bytes(study.views[0].image)
    for name in ("side.png", "archive/second/film.png"):
        Path(name).write_bytes(draw_study("test", 4, 0, 128).views[-1].image)
    capsys.readouterr()
    names: dict[str, object] = {}
    exec(lines[1], names)
    told = capsys.readouterr().out
    single = names["generator"].describe(tmp_path / "front.png")  # type: ignore[attr-defined]
    assert f"{single.study.key} ['archive/first/film.png'] {single.report}" in told
    assert "['archive/second/film.png']" in told

    assert main(["describe", "archive", "--run", str(run.folder), "--out", "out", "--json"]) == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["report"] for line in printed] == [
        each.report for each in names["generator"].describe(names["found"].studies)
    ]
    assert len({line["made_from"]["model"] for line in printed}) == 1
    assert printed[0]["made_from"] == single.as_json()["made_from"]  # a run and its export are the same model
