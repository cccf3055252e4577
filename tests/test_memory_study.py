"""The script of docs/memory_study.md draws what the page shows, from random patterns alone and from a bank."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch

from ammrg.memory.bank import BankMeta, MemoryBank
from ammrg.memory.bank_files import save

SCRIPT = Path(__file__).parent.parent / "docs" / "memory_study.py"


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("memory_study", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "BETAS", (0.001, 0.5))
    monkeypatch.setattr(module, "STEPS", (0, 2))
    return module


def run_with_regions(root: Path) -> Path:
    """A run folder whose memory holds two clusters of regions and 14 disease queries."""
    n, findings = 74, torch.cat([torch.arange(14), torch.arange(60) % 2])
    centres = 3 * torch.randn(2, 16, generator=torch.Generator().manual_seed(0))
    meta = {"encoder_fingerprint": "e", "data_fingerprint": "d", "split": "train", "seed": 0, "selection": "random"}
    bank = MemoryBank(
        patterns=centres[findings % 2] + 0.2 * torch.randn(n, 16, generator=torch.Generator().manual_seed(1)),
        study_ids=((),) * 14 + tuple((f"s{row}",) for row in range(60)),
        subject_ids=((),) * 14 + tuple((f"p{row}",) for row in range(60)),
        findings=findings,
        boxes=torch.full((n, 4), torch.nan),
        views=torch.full((n,), -1),
        texts=("",) * n,
        scores=torch.ones(n),
        meta=BankMeta(kind="regions", restricted=False, **meta),  # type: ignore[arg-type]
    )
    save(bank, root / "run" / "memory" / "regions")
    return root / "run"


def test_it_draws_and_tells(study: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "capacity", lambda width, counts, beta: [1.0] * len(counts))
    run = run_with_regions(tmp_path)
    assert study.main(["--run", str(run), "--out", str(tmp_path / "out")]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("recall.png", "metastable.png", "capacity.png", "study.json")
    }
    told = json.loads((tmp_path / "out" / "study.json").read_text())
    soft, sharp = told["random"]["fixed_points"]
    assert soft["fixed_points"] == 1
    assert sharp["fixed_points"] > 1
    assert soft["effective_patterns"] > sharp["effective_patterns"]
    regions = told["regions of a run"]
    assert regions["patterns"] == [60, 16]  # disease queries are no regions
    assert regions["fixed_points"][0]["alike"] == pytest.approx(regions["fixed_points"][0]["chance"], abs=0.02)
    assert regions["fixed_points"][1]["alike"] > 0.9


def test_recall_is_of_the_pattern_itself(study: ModuleType) -> None:
    patterns = torch.nn.functional.layer_norm(torch.randn(50, 32), (32,))
    assert study.recalled(patterns, patterns) == 1.0
    assert study.recalled(patterns.roll(1, 0), patterns) == 0.0
    assert study.recalled(0.5 * patterns, patterns) == 0.0  # near no other, but far from itself


def test_sparsemax_is_the_projection_onto_the_simplex(study: ModuleType) -> None:
    torch.manual_seed(0)
    scores = torch.randn(6, 9, dtype=torch.float64)
    found = study.sparsemax(scores)
    torch.testing.assert_close(found.sum(-1), torch.ones(6, dtype=torch.float64))
    assert (found >= 0).all()
    assert (found == 0).any()
    # nothing else on the simplex lies nearer (the defining property)
    others = torch.rand(4000, 1, 9, dtype=torch.float64).pow(3)
    others = others / others.sum(-1, keepdim=True)
    assert ((others - scores).square().sum(-1) >= (found - scores).square().sum(-1) - 1e-12).all()
