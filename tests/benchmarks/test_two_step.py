"""The benchmark of retrieval in two steps: what it measures, and that it says what is missing."""

from __future__ import annotations

import importlib.util
import json
import sys

import pytest
import torch

from ammrg.networks.association import PatternNorm, scores
from benchmarks import two_step


def test_effective_patterns_are_the_exponential_of_the_entropy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(two_step, "BLOCK", 7)
    patterns, probes = torch.randn(30, 8), torch.randn(2, 3, 2, 8)
    stored = PatternNorm()(patterns, torch.float32, 1e-5)
    associations = scores(probes, stored.block(0, 30), None).softmax(-1)
    expected = (-(associations * associations.log()).sum(-1)).exp().median()
    assert two_step.effective_patterns(probes, stored) == pytest.approx(float(expected), rel=1e-4)


def test_without_faiss_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.setattr(two_step, "mixture", lambda n, p: torch.randn(100, p))
    assert two_step.main(["--quick"]) == 0
    assert "left out: retrieval in two steps needs faiss" in capsys.readouterr().out


@pytest.mark.skipif(importlib.util.find_spec("faiss") is None, reason="faiss is not installed")
def test_it_runs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(two_step, "LISTS", 16)
    mixture = two_step.mixture
    monkeypatch.setattr(two_step, "mixture", lambda n, p: mixture(3000, p))
    assert two_step.main(["--quick"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    near = [row for row in result["cases"] if row["probes"] == "near"]
    assert near[-1]["recall_at_10"] >= near[0]["recall_at_10"] - 0.05
    assert len(result["cases"]) == 12
