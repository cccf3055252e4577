"""Stage 1 beside its reference: the paired table against scikit-learn, and the reference through its whole way."""

from __future__ import annotations

import math
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from sklearn.metrics import roc_auc_score

from ammrg.findings import NUM_FINDINGS
from benchmarks.stage1 import Rated, compare, films, rate, reference
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
    studies, subjects = [f"s{i}" for i in range(120)], [f"p{i // 2}" for i in range(120)]
    console = Console(width=150, record=True)
    found = compare(
        "test", Rated(good[None], labels, studies, subjects), Rated(poor[None], labels, studies, subjects), console
    )
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
    same = compare(
        "test", Rated(good[None], labels, studies, subjects), Rated(good[None], labels, studies, subjects), console
    )
    assert same["at least 10 positives"]["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    # Of several networks it is the mean over them, not that of an ensemble.
    both = compare(
        "test",
        Rated(torch.stack([good, poor]), labels, studies, subjects),
        Rated(poor[None], labels, studies, subjects),
        console,
    )
    assert both["at least 10 positives"]["ours"]["value"] == pytest.approx(
        (sum(areas[0]) + sum(areas[1])) / 4, abs=1e-9
    )
    assert both["at least 10 positives"]["difference"]["value"] == pytest.approx(
        mean["difference"]["value"] / 2, abs=1e-9
    )
    with pytest.raises(SystemExit, match="rated different studies"):
        compare(
            "test",
            Rated(good[None], labels, studies, subjects),
            Rated(good[None], labels, studies[::-1], subjects),
            console,
        )


def test_references_train_by_the_clock_once_a_seed_and_rate_every_study(tmp_path: Path) -> None:
    assert (
        main(["prepare", "--dataset", "phantom", "--out", str(tmp_path / "one"), "--studies", "train=40,val=5,test=4"])
        == 0
    )
    options = Namespace(references=tmp_path / "references", data=str(tmp_path / "one"), minutes=0.05)
    networks = [reference(options, seed) for seed in (0, 1)]
    assert not any(network.training for network in networks)
    before = {path: path.stat().st_mtime_ns for path in options.references.iterdir()}
    kept = reference(options, 0)  # not trained again
    assert {path: path.stat().st_mtime_ns for path in options.references.iterdir()} == before
    with pytest.raises(SystemExit, match=r"'minutes': '0.05'.*, not by .*'minutes': '8'.*name another --references"):
        reference(Namespace(**{**vars(options), "minutes": 8.0}), 0)
    drawn = ["--studies", "train=40,val=5,test=4", "--seed", "1"]
    assert main(["prepare", "--dataset", "phantom", "--out", str(tmp_path / "other"), *drawn]) == 0
    with pytest.raises(SystemExit, match="name another --references"):
        reference(Namespace(**{**vars(options), "data": str(tmp_path / "other")}), 0)
    rated = rate("reference", [*networks, kept], films(options.data, 0), "val")
    assert rated.logits.shape == (3, 5, NUM_FINDINGS)
    assert rated.labels.shape == (5, NUM_FINDINGS)
    torch.testing.assert_close(rated.logits[0], rated.logits[2])
    assert not rated.logits[0].allclose(rated.logits[1])
