"""The benchmark for a GPU: all parts run at small sizes, one that fails or takes too long costs only itself."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from rich.console import Console

from benchmarks import gpu


def test_all_parts_run_on_the_cpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "made" / "gpu.jsonl"
    assert gpu.main(["--cpu", "--out", str(out)]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    rows = result["cases"]
    assert [row for row in rows if "left_out" in row] == []
    assert [json.loads(line) for line in out.read_text().splitlines()] == rows
    assert list(dict.fromkeys(row["part"] for row in rows)) == [
        *("hopfield", "mining", "language model", "training", "generation", "reward", "same texts")
    ]
    (step,) = [row for row in rows if row["part"] == "training"]
    assert step["tokens"] > step["report_tokens"] > 0
    assert 0 < step["mfu"] < 1
    (reward,) = [row for row in rows if row["part"] == "reward"]
    assert reward["samples"] == 8
    assert 0 < reward["sample_tokens"] <= 8 * 100
    assert [row["batch"] for row in rows if row["part"] == "generation"] == [1, 2]
    assert all(row["ratio"] > 0 for row in rows if row["part"] == "mining")


class Slow(gpu.Parts):
    """One part that fails, one that takes too long after its first row, and one that does neither."""

    @property
    def limits(self):  # type: ignore[no-untyped-def]
        return {"broken": (self.broken, 5), "slow": (self.slow, 1), "good": (self.good, 5)}

    def broken(self) -> Iterator[gpu.Row]:
        raise torch.OutOfMemoryError("no memory")
        yield {}

    def slow(self) -> Iterator[gpu.Row]:
        yield {"number": 1}
        time.sleep(20)
        yield {"number": 2}

    def good(self) -> Iterator[gpu.Row]:
        yield {"number": 3}


def test_a_part_that_fails_or_takes_too_long_costs_only_itself(tmp_path: Path) -> None:
    start = time.perf_counter()
    rows = gpu.measure(Slow(gpu.on_cpu(), tmp_path), tmp_path / "rows.jsonl", Console(quiet=True))
    assert time.perf_counter() - start < 15
    assert rows == [
        {"part": "broken", "left_out": "OutOfMemoryError: no memory"},
        {"part": "slow", "number": 1},
        {"part": "slow", "left_out": "TimeoutError: its 1 s were over"},
        {"part": "good", "number": 3},
    ]


def test_limits_are_ten_minutes_in_all(tmp_path: Path) -> None:
    assert sum(seconds for _, seconds in gpu.Parts(gpu.on_gpu(), tmp_path).limits.values()) <= gpu.WHOLE_S


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main([]) == 0
    assert "there is no GPU here" in capsys.readouterr().out


def test_targets_are_those_of_measured_rows() -> None:
    rows = [
        {"part": "mining", "ratio": 20.0},
        {"part": "training", "batch": 8, "tflop_per_s": 150.0},
        {"part": "training", "left_out": "TimeoutError"},
    ]
    assert [value for value, _ in gpu.targets(rows).values()] == [20.0, 0.5]
