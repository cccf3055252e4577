"""Stage 1 beside its reference: the paired table against scikit-learn, and the reference through its whole way."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file
from sklearn.metrics import roc_auc_score

from ammrg.findings import NUM_FINDINGS
from benchmarks.stage1 import BATCH, SIDE, Rated, Reference, compare, rate, train_reference
from datamodules.studies import StudyDataModule
from experiments.__main__ import main


def test_the_table_is_scikit_learns_and_its_differences_are_paired() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.zeros(120, NUM_FINDINGS)
    labels[:60, 0] = math.nan  # not mentioned in a labelled report: negative, as 0 is
    labels[:40, 0] = 1.0
    labels[5:20, 1] = 1.0
    labels[:3, 2] = 1.0  # too few for a mean
    labels[30:50, 1] = -1.0  # uncertain: left out
    good = torch.randn(120, NUM_FINDINGS, generator=generator) + 2 * labels.nan_to_num(0)
    poor = torch.randn(120, NUM_FINDINGS, generator=generator)
    subjects = [f"p{i // 2}" for i in range(120)]
    console = Console(width=150, record=True)
    found = compare("test", Rated(good, labels, subjects), Rated(poor, labels, subjects), console)
    known = labels[:, 1] != -1
    areas = [
        [roc_auc_score((labels[rows, i] == 1), logits[rows, i]) for i, rows in ((0, slice(None)), (1, known))]
        for logits in (good, poor)
    ]
    mean = found["at least 10 positives"]
    assert mean["findings"] == 2
    assert mean["ours"]["value"] == pytest.approx(sum(areas[0]) / 2, abs=1e-9)
    assert mean["difference"]["value"] == pytest.approx((sum(areas[0]) - sum(areas[1])) / 2, abs=1e-9)
    assert mean["difference"]["low"] > 0
    assert found["at least 20 positives"]["ours"]["value"] == pytest.approx(areas[0][0], abs=1e-9)
    same = compare("test", Rated(good, labels, subjects), Rated(good, labels, subjects), console)
    assert same["at least 10 positives"]["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    with pytest.raises(SystemExit, match="other studies"):
        compare("test", Rated(good, labels, subjects), Rated(good, labels, subjects[::-1]), console)


def test_the_reference_trains_by_the_clock_and_rates_every_study(tmp_path: Path) -> None:
    assert main(["prepare", "--dataset", "phantom", "--out", str(tmp_path), "--studies", "train=40,val=5,test=4"]) == 0
    data = StudyDataModule(str(tmp_path), SIDE, BATCH, BATCH, num_workers=0, views="frontal", seed=0)
    data.setup()
    network = train_reference(data, seconds=3.0)
    assert not network.training
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, tmp_path / "r.safetensors")
    again = Reference().eval()
    again.load_state_dict(load_file(tmp_path / "r.safetensors"))
    rated = rate("reference", again, data, "val")
    assert rated.logits.shape == rated.labels.shape == (5, NUM_FINDINGS)
    torch.testing.assert_close(rated.logits, rate("reference", network, data, "val").logits)
