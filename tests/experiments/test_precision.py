"""bf16 where it helps, float32 where a CPU would only emulate it."""

from __future__ import annotations

import pytest
import torch

from experiments.runs import precision
from experiments.runs.precision import usable_precision


@pytest.mark.parametrize(
    ("asked", "accelerator", "instructions", "used"),
    [
        ("bf16-mixed", "cpu", True, "bf16-mixed"),
        ("bf16-mixed", "cpu", False, "32-true"),
        ("bf16-mixed", "gpu", False, "bf16-mixed"),
        ("32-true", "cpu", False, "32-true"),
        ("16-mixed", "gpu", False, "16-mixed"),
    ],
)
def test_what_is_used_and_what_is_changed_is_said(monkeypatch, capsys, asked, accelerator, instructions, used):
    monkeypatch.setattr(precision, "has_bf16_instructions", lambda: instructions)
    assert usable_precision(asked, accelerator) == used
    assert ("32-true instead of bf16-mixed" in capsys.readouterr().out) is (used != asked)


@pytest.mark.parametrize("gpu", [False, True])
def test_auto_is_the_cpu_where_there_is_no_gpu(monkeypatch, gpu):
    monkeypatch.setattr(precision, "has_bf16_instructions", lambda: False)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: gpu)
    assert usable_precision("bf16-mixed", "auto") == ("bf16-mixed" if gpu else "32-true")


def test_this_machine_answers():
    assert precision.has_bf16_instructions() in (True, False)
