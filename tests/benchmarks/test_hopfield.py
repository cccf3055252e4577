"""The benchmark of associative retrieval runs, compares outputs before times, and says what it left out."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import pytest
import torch

from ammrg.networks.hopfield import HopfieldRetrieval
from benchmarks import hopfield
from benchmarks.hopfield import Case, Meter, SharedProjection, agreement, measure, targets


@pytest.fixture
def layers(monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.nn.Module]:
    """Ours and the fair rival, small, with every parameter away from its start."""
    for name, value in (("WIDTH", 16), ("HEADS", 2), ("ASSOCIATION", 8)):
        monkeypatch.setattr(hopfield, name, value)
    torch.manual_seed(0)
    layer = HopfieldRetrieval(16, 16, 16, 8, heads=2, beta=1.0, dropout=0.0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return {"ours": layer, "shared": SharedProjection(layer)}


def test_rivals_compute_the_same(layers: dict[str, torch.nn.Module]) -> None:
    assert agreement(layers, torch.device("cpu"))["shared"] < 1e-4
    with torch.no_grad():
        layers["shared"].layer.value_shift.add_(1.0)  # shared by both: still the same layer
        assert agreement(layers, torch.device("cpu"))["shared"] < 1e-4
        layers["shared"].layer = HopfieldRetrieval(16, 16, 16, 8, heads=2, dropout=0.0)
    assert agreement(layers, torch.device("cpu"))["shared"] > 1e-2


@pytest.mark.skipif(importlib.util.find_spec("hflayers") is None, reason="hflayers is not on PYTHONPATH")
def test_the_public_layer_computes_the_same(layers: dict[str, torch.nn.Module]) -> None:
    peer = hopfield.peer_layer(layers["ours"])  # type: ignore[arg-type]
    assert peer is not None
    assert agreement(layers | {"peer": peer}, torch.device("cpu"))["peer"] < 1e-4


@pytest.mark.parametrize("mode", ["forward", "training"])
def test_a_row_holds_times_memory_and_why_a_side_is_missing(layers: dict[str, torch.nn.Module], mode: str) -> None:
    row = measure(Case(64, 2, mode, 0.1, True), layers, Meter(torch.device("cpu")), rate=1e12, patience=10.0)
    assert row["ours_s"] > 0
    assert row["ours_runs"] == 5
    assert row["shared_ratio"] == pytest.approx(row["shared_s"] / row["ours_s"])
    assert row["peer_s"] is None
    assert row["note"] == ""
    slow = measure(Case(64, 2, mode), layers, Meter(torch.device("cpu")), rate=1e3, patience=10.0)
    assert slow["ours_s"] is None
    assert slow["note"].startswith("ours: about ")


def test_targets_are_those_of_their_rows_alone() -> None:
    row: dict[str, Any] = Case(7014, 16, "forward")._asdict() | {
        "ratio": 50.0,
        "shared_ratio": 1.2,
        "ours_mib": 10.0,
        "peer_mib": 90.0,
    }
    trained = row | {"mode": "training", "ratio": 14.0, "shared_ratio": 3.5, "ours_mib": 20.0, "peer_mib": 60.0}
    masked = trained | {"exclude_self": True, "ratio": 1.0}
    found = targets([row, masked, trained])
    assert [claim["value"] for claim in found.values()] == [50.0, 14.0, 3.0, 3.5]
    assert [claim["met"] for claim in found.values()] == [True, False, False, True]
    assert targets([row, masked]) == {}
    without_peer = [{**each, "ratio": None, "peer_mib": None} for each in (row, trained)]
    assert list(targets(without_peer)) == ["forward + backward, times quicker than patterns projected once"]


def test_the_last_line_is_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hopfield, "cases", lambda quick: [Case(32, 1, "forward")])
    monkeypatch.setattr(hopfield, "ASSOCIATION", 8)
    assert hopfield.main(["--quick"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(result) == {"benchmark", "cases", "targets", "agreement", "machine"}
    assert result["machine"]["matmul_gflops"] > 0
