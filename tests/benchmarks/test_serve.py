"""The benchmark of the service on a tiny model: every request is answered, and it says what it saw."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import serve
from tests.tiny_export import random_model, write


def test_it_runs(llm_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write(tmp_path / "model", random_model(llm_folder))
    assert serve.main(["--model", str(model), "--requests", "12", "--clients", "4", "--seconds", "120"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    alone, together = told["cases"]
    assert (alone["batch"], together["batch"]) == (1, serve.BATCH)
    assert alone["answered"] == together["answered"] == alone["sent"] == together["sent"] == 12
    assert alone["mean_batch"] == pytest.approx(1, abs=0.1)
    assert together["mean_batch"] > 1.3
    assert told["targets"]["studies with the same report both times"]["met"]
    speed = told["targets"]["answers per second, together / one at a time"]
    assert speed["value"] == pytest.approx(together["per_second"] / alone["per_second"])
    processor = told["targets"]["processor seconds per answer, one at a time / together"]
    assert processor["value"] == pytest.approx(alone["cpu_s_per_answer"] / together["cpu_s_per_answer"])
    assert 0 < together["cpu_s_per_answer"] < alone["cpu_s_per_answer"]
    assert 0 < together["p50_s"] <= together["p95_s"]


def test_without_a_model_it_does_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert serve.main(["--model", str(tmp_path / "gone")]) == 0
    assert "no exported model" in capsys.readouterr().out
