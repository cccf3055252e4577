from __future__ import annotations

from typing import Any

import pytest
import torch

from ammrg.errors import SettingsError
from ammrg.networks.decoding import check_decoding, repetition_penalty


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"num_beam": 3}, r"decoding\.num_beam: no such field"),
        ({"num_return_sequences": 2}, r"decoding\.num_return_sequences: no such field"),
        ({"max_new_tokens": 0}, r"max_new_tokens \(0\) must be above 0"),
        ({"num_beams": 0}, r"num_beams \(0\) must be above 0"),
        ({"do_sample": True, "temperature": 0.0}, r"temperature \(0.0\) must be above 0"),
        ({"temperature": 0.5}, "do_sample"),
        ({"length_penalty": 2.0}, "num_beams"),
        ({"do_sample": True, "num_beams": 2}, "choose one"),
        ({"min_new_tokens": 9, "max_new_tokens": 3}, r"min_new_tokens \(9\) is above"),
    ],
)
def test_what_would_fail_or_be_ignored_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        check_decoding(settings)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"max_new_tokens": 80},
        {"num_beams": 3, "repetition_penalty": 2.0, "length_penalty": 2.0, "min_new_tokens": 80},
        {"do_sample": True, "temperature": 0.7, "top_k": 50, "top_p": 0.9},
    ],
)
def test_what_people_use_is_let_through(settings: dict[str, Any]) -> None:
    check_decoding(settings)


def test_the_penalty_holds_from_the_first_token_written() -> None:
    settings = {"repetition_penalty": 2.0, "num_beams": 3}
    penalty = repetition_penalty(settings)
    assert settings == {"num_beams": 3}
    found = penalty(torch.tensor([[1], [2]]), torch.tensor([[1.0, 4.0, 4.0], [1.0, 4.0, -4.0]]))
    assert found.tolist() == [[1.0, 2.0, 4.0], [1.0, 4.0, -8.0]]
    assert len(repetition_penalty({})) == 0
