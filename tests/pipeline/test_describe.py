"""One film described by a run."""

from __future__ import annotations

import json

import pytest

from ammrg.findings import FINDINGS
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
    film.write_bytes(film.read_bytes()[:100])
    assert main(["describe", str(film), "--run", str(run.folder)]) == 1
    assert "film.png" in capsys.readouterr().err
