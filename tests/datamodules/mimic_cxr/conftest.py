"""A phantom, and its raw folder in the layout of MIMIC-CXR."""

from __future__ import annotations

import pytest

from datamodules.sources.phantom import generate, layouts


@pytest.fixture(scope="module")
def phantom():
    return list(generate({"train": 5, "val": 2, "test": 2}, seed=2, size=64))


@pytest.fixture
def raw(phantom, tmp_path):
    layouts.write_mimic_cxr(tmp_path / "raw", phantom)
    return tmp_path / "raw"
