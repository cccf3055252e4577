"""Learning rates of parts, and the steps from which they are trained."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from ammrg.errors import SettingsError
from ammrg.networks.backbone import blocks_of
from ammrg.networks.visual_encoder import VisualEncoder
from lightning_modules.optimizers import TrainedPart, adamw_cosine, beginnings_within, falling_rates


def rates(found: Any, group: int, steps: int) -> list[float]:
    """The learning rate of a group at each step."""
    seen = []
    for _ in range(steps):
        seen.append(found["optimizer"].param_groups[group]["lr"])
        found["optimizer"].step()
        found["lr_scheduler"]["scheduler"].step()
    return seen


def test_schedule_and_groups() -> None:
    encoder, head = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    both = torch.nn.ModuleList([encoder, head])
    found: Any = adamw_cosine([TrainedPart(encoder, 0.1), TrainedPart(both)], 1e-2, 0.1, warmup_steps=4, total_steps=20)
    groups = found["optimizer"].param_groups
    assert [(g["initial_lr"], g["weight_decay"], len(g["params"])) for g in groups] == [
        (1e-3, 0.1, 1),
        (1e-3, 0.0, 1),
        (1e-2, 0.1, 1),
        (1e-2, 0.0, 1),
    ]
    rates = []
    for _ in range(20):
        rates.append(groups[-1]["lr"])
        found["optimizer"].step()
        found["lr_scheduler"]["scheduler"].step()
    assert rates[:5] == pytest.approx([0.002, 0.004, 0.006, 0.008, 0.01])
    assert all(a > b for a, b in itertools.pairwise(rates[4:]))
    assert groups[-1]["lr"] == pytest.approx(1e-4)
    both.requires_grad_(False)
    with pytest.raises(SettingsError, match="no parameter"):
        adamw_cosine([TrainedPart(both)], 1e-2, total_steps=20)


def test_a_part_may_begin_later_and_warms_up_then() -> None:
    first, later = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    parts = [TrainedPart(later, from_step=6), TrainedPart(first)]
    found: Any = adamw_cosine(parts, 1e-2, warmup_steps=3, total_steps=20)
    late = rates(found, 0, 20)
    assert late[:6] == [0.0] * 6
    assert late[6:10] == pytest.approx([0.0025, 0.005, 0.0075, 0.01])
    assert all(a > b for a, b in itertools.pairwise(late[9:]))
    found = adamw_cosine(parts, 1e-2, warmup_steps=3, total_steps=20)
    assert rates(found, -1, 4) == pytest.approx([0.0025, 0.005, 0.0075, 0.01])


def test_a_warm_up_that_would_not_end_is_half_of_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    part = torch.nn.Linear(2, 2)
    found = rates(adamw_cosine([TrainedPart(part)], 1e-2, warmup_steps=8, total_steps=8), 0, 8)
    assert found[:5] == pytest.approx([0.002, 0.004, 0.006, 0.008, 0.01])
    assert found[5:] == sorted(found[5:], reverse=True)
    assert capsys.readouterr().out == "model.warmup_steps: 4 instead of 8, because the run has only 8 steps\n"
    adamw_cosine([TrainedPart(torch.nn.Linear(2, 2)) for _ in range(3)], 1e-2, warmup_steps=8, total_steps=8)
    assert len(capsys.readouterr().out.splitlines()) == 1  # once for all parts
    assert rates(adamw_cosine([TrainedPart(part)], 1e-2, warmup_steps=7, total_steps=8), 0, 8)[-1] == pytest.approx(
        0.01
    )
    late = rates(adamw_cosine([TrainedPart(part, from_step=18)], 1e-2, warmup_steps=3, total_steps=20), 0, 20)
    assert late[18:] == pytest.approx([0.005, 0.01])
    assert "instead of 3, because the run has only 20 steps, and a part begins at step 18" in capsys.readouterr().out


def test_a_part_begins_earlier_in_a_run_too_short_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    asked = {"lora": 50, "encoder": 18, "memories": 4}
    assert beginnings_within(asked, 3, 26) == {"lora": 13, "encoder": 18, "memories": 4}
    assert capsys.readouterr().out == (
        "model.unfreeze_at.lora: step 13 instead of 50, because the run has only 26 steps\n"
    )
    assert beginnings_within({"lora": 23}, 3, 26) == {"lora": 13}  # its warm-up would end with the run
    assert beginnings_within({"lora": 22}, 3, 26) == {"lora": 22}
    assert beginnings_within(asked, 3, 54) == beginnings_within(asked, 3, float("inf")) == asked
    assert beginnings_within({"lora": 1}, 3, 1) == {"lora": 0}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_nothing_is_trained_in_less_than_float32(dtype: torch.dtype) -> None:
    coarse = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2).to(dtype)])
    with pytest.raises(SettingsError, match=f"trained weights must be float32, found {dtype}"):
        adamw_cosine([TrainedPart(coarse)], 1e-2, total_steps=20)
    coarse[1].requires_grad_(False)  # frozen weights may have any dtype
    assert adamw_cosine([TrainedPart(coarse)], 1e-2, total_steps=20)


def test_rates_fall_from_the_tokens_to_the_film() -> None:
    stages = {"in_channels": [32, 16], "out_channels": [16, 24], "kernel_sizes": [3, 3], "strides": [1, 2]}
    repeats = {"num_block_repeats": [1, 1], "expand_ratios": [1, 2]}
    sizes = {
        "image_size": 64,
        "num_channels": 1,
        "width_coefficient": 0.25,
        "depth_coefficient": 1.0,
        "hidden_dim": 320,
    }
    encoder = VisualEncoder({"model_type": "efficientnet", **sizes, **stages, **repeats})
    found: Any = adamw_cosine(falling_rates(encoder, 0.5, 0.8), 1e-2, total_steps=20)
    rate = {id(p): group["initial_lr"] for group in found["optimizer"].param_groups for p in group["params"]}
    blocks = blocks_of(encoder.backbone)
    for later, block in enumerate(reversed(blocks)):
        rates_here = {rate[id(p)] for p in block.parameters()}
        assert list(rates_here) == pytest.approx([0.5e-2 * 0.8**later])
    stem = next(p for name, p in encoder.named_parameters() if "embeddings" in name)
    assert rate[id(stem)] == pytest.approx(0.5e-2 * 0.8 ** len(blocks))
    assert len(rate) == len(list(encoder.parameters()))
    assert [part.scale for part in falling_rates(encoder, 0.5, 1.0)] == [0.5]
