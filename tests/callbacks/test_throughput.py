"""FLOPs are counted as torch counts them, and training is not changed by a bit."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import LightningModule
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from callbacks.throughput import COLUMNS, FlopCounter, Throughput
from tests.quiet_trainer import quiet_trainer

STUDIES = 4


class Net(LightningModule):
    tokens = 7

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)

    def training_step(self, batch: Any, index: int) -> Tensor:
        loss: Tensor = self.layer(torch.ones(STUDIES, 5, 16)).square().mean()
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def train_dataloader(self) -> DataLoader[Any]:
        batches = [SimpleNamespace(study_ids=["s"] * STUDIES) for _ in range(10)]
        return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


def train(folder: Path, *callbacks: Throughput) -> Net:
    module = Net()
    quiet_trainer(folder, max_epochs=2, log_every_n_steps=5, callbacks=list(callbacks)).fit(module)
    return module


def test_products_are_counted_as_torch_counts_them() -> None:
    layer, x = torch.nn.Linear(8, 3), torch.ones(5, 8, requires_grad=True)
    ours, torchs = FlopCounter(), FlopCounterMode(display=False)
    for counter in (ours, torchs):
        with counter:
            layer(x).sum().backward()
    assert ours.total == torchs.get_total_flops() == 3 * 2 * 5 * 8 * 3


def test_rows_are_written_and_the_weights_are_those_without_it(tmp_path: Path) -> None:
    callback = Throughput()
    watched, alone = train(tmp_path, callback), train(tmp_path / "alone")
    for (name, one), (_, other) in zip(watched.named_parameters(), alone.named_parameters(), strict=True):
        assert torch.equal(one, other), name
    with (tmp_path / "throughput.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(float(row["step"])) for row in rows] == [4, 9, 14, 19]
    assert list(rows[0]) == list(COLUMNS)
    for row in rows:
        assert float(row["studies_per_s"]) > 0
        assert float(row["tokens_per_s"]) == pytest.approx(float(row["studies_per_s"]) * Net.tokens / STUDIES, rel=1e-3)
        assert 0 <= float(row["loader_wait"]) <= 1
        assert float(row["memory_gib"]) > 0
        assert float(row["tflop_per_s"]) > 0
        assert row["flop_utilisation"] == ""  # CPUs have no published peak
    assert not (tmp_path / "alone" / "throughput.csv").exists()


def test_a_resumed_run_counts_nothing(tmp_path: Path) -> None:
    first, second = Throughput(), Throughput()
    train(tmp_path, first)
    second.load_state_dict(first.state_dict())
    assert second.flop_of_study == first.flop_of_study
    train(tmp_path, second)
    assert second.counter is None
