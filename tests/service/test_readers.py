"""The threads that read films: one processor each, whatever the model's thread takes."""

from __future__ import annotations

import torch

from ammrg.service.readers import reader_threads


def test_a_reader_computes_on_one_processor_and_the_model_on_its_own() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with reader_threads(2) as readers:
            assert list(readers.map(lambda _: torch.get_num_threads(), range(4))) == [1] * 4
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
