"""A bank of each kind, and the prepared data of a phantom."""

from __future__ import annotations

from pathlib import Path

import pytest

from ammrg.memory.bank_files import save
from experiments.__main__ import main
from tests.experiments.memory.banks import STUDIES, make


@pytest.fixture(params=["regions", "reports"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    save(make(request.param, STUDIES), tmp_path / request.param)
    return tmp_path / request.param


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("memory") / "data"
    arguments = ["prepare", "--dataset", "phantom", "--out", str(folder), "--studies", "train=4,val=2,test=2"]
    assert main(arguments) == 0
    return folder
