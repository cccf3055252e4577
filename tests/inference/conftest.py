"""One exported folder for all tests of a module, and a copy of it for each that changes it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ammrg.inference.report_generator import ReportGenerator
from tests.tiny_export import random_model, write


@pytest.fixture(scope="module")
def model(llm_folder: Path) -> ReportGenerator:
    return random_model(llm_folder)


@pytest.fixture(scope="module")
def exported(model: ReportGenerator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("exported") / "deeper" / "model", model)


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "copy"))
