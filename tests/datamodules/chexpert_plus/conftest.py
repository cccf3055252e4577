"""A phantom, and its raw folder in the layout of CheXpert Plus."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from datamodules.sources.chexpert_plus_files import VAL_SHARE
from datamodules.sources.phantom import generate, layouts
from datamodules.sources.splits import hash_split


@pytest.fixture(scope="module")
def studies():
    """By the reader's hash, one patient of train goes to validation."""
    drawn = list(generate({"train": 6, "val": 2, "test": 3}, seed=2, size=64))
    numbers = iter(n for n in range(1000) if hash_split(f"patient{n}", 0, val=VAL_SHARE, test=0.0) == "val")
    return [drawn[0]._replace(subject_id=str(next(numbers))), *drawn[1:]]


@pytest.fixture(scope="module")
def written(studies, tmp_path_factory):
    raw = tmp_path_factory.mktemp("chexpert_plus") / "raw"
    layouts.write_chexpert_plus(raw, studies)
    return raw


@pytest.fixture
def raw(written, tmp_path):
    return Path(shutil.copytree(written, tmp_path / "raw"))
