"""Draws follow the model's distribution and belong to the row."""

from __future__ import annotations

import torch

from ammrg.networks.seeded_sampling import GumbelNoise, seeded_sampling


def test_the_highest_after_noise_is_a_draw_from_the_softmax() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0, -1.0])
    rows = 4000
    found = GumbelNoise(range(rows))(torch.empty(rows, 0), logits.expand(rows, -1)).argmax(1)
    shares = found.bincount(minlength=4) / rows
    expected = logits.softmax(0)
    error = (expected * (1 - expected) / rows).sqrt()
    assert ((shares - expected).abs() < 4 * error).all()


def test_settings_are_taken_out_and_applied_before_the_noise() -> None:
    settings = {"temperature": 0.5, "top_k": 1, "top_p": None, "repetition_penalty": 1.1}
    processors = seeded_sampling([0, 1], settings)
    assert settings == {"repetition_penalty": 1.1}
    logits = torch.tensor([[0.0, 1.0, 3.0], [5.0, 1.0, 3.0]])
    assert processors(torch.zeros(2, 1, dtype=torch.long), logits).argmax(1).tolist() == [2, 0]
    assert type(processors[-1]) is GumbelNoise
