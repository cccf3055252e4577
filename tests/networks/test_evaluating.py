"""Each module gets the mode back that it had."""

from __future__ import annotations

import pytest
from torch import nn

from ammrg.networks.evaluating import evaluating


def test_modes_come_back_each_its_own_even_after_an_error() -> None:
    network = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.Dropout(), nn.ReLU())).train()
    network[1].eval()
    before = [module.training for module in network.modules()]

    def fail() -> None:
        with evaluating(network):
            assert not any(module.training for module in network.modules())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [module.training for module in network.modules()] == before == [True, True, False, False, False]
