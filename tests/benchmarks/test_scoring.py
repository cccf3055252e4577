"""The benchmark of scoring runs, equals the reference scorers and says so."""

from __future__ import annotations

import json

import pytest

from benchmarks import scoring


def test_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert scoring.main(["--quick"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    (case,) = result["cases"]
    assert (case["studies"], case["resamples"]) == (100, 50)
    assert case["peer_s"] / case["ours_s"] == pytest.approx(case["ratio"])
    equal = result["targets"]["plain scores equal the reference scorers'"]
    assert equal["met"]
    assert equal["value"] < 1e-9


def test_texts_are_as_long_as_reports_and_alike_in_part() -> None:
    references, generated = scoring.texts(50)
    for column in (references, generated):
        assert 40 < sum(len(text.split()) for text in column) / 50 < 90
    assert scoring.texts(50) == (references, generated)
    assert any(
        sentence in other for text, other in zip(references, generated, strict=True) for sentence in text.split(". ")
    )
