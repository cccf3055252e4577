"""The benchmark of the first word on a tiny model: this checkout against itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import first_word
from tests.tiny_export import random_model, write


def test_it_runs(llm_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write(tmp_path / "model", random_model(llm_folder))
    words = ["--model", str(model), "--rounds", "1", "--other", str(first_word.ROOT)]
    assert first_word.main([*words, "--other-program", "ammrg describe"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    cases = {case["name"]: case for case in told["cases"]}
    assert 0 < cases["Python"]["cpu_s"] < cases["import torch"]["cpu_s"] < cases["ours"]["cpu_s"]
    assert cases["a film sent to the service"]["cpu_s"] < cases["ours"]["cpu_s"]
    shares = cases["imports"]["shares"]
    assert sum(shares.values()) == pytest.approx(1)
    assert max(shares, key=shares.__getitem__) == "torch"
    value = told["targets"]["CPU time to the first word, other / ours"]["value"]
    assert value == pytest.approx(cases["other"]["cpu_s"] / cases["ours"]["cpu_s"])


def test_a_command_without_a_report_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"wrote no report: \s*error: gone.png: no such file"):
        first_word.first_word(first_word.ROOT, ["ammrg", "describe", "gone.png", "--model", "m"], tmp_path / "log")


def test_without_a_model_it_does_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert first_word.main(["--model", str(tmp_path / "gone")]) == 0
    assert "no exported model" in capsys.readouterr().out
