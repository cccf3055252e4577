"""The reports of a run, with a baseline and a guard beside them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.experiments.score.reports import lines, report, write


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Good reports, a baseline and a guard of 40 studies of 20 patients."""
    good = [report(i) if i % 3 else report(i + 1) for i in range(40)]
    write(tmp_path / "baselines/best_constant_cider.jsonl", lines([report(1)] * 40))
    write(tmp_path / "guards/images_shuffled.jsonl", lines(good[5:] + good[:5]))
    (tmp_path / "reports.meta.json").write_text(json.dumps({"dataset": "phantom"}))
    return write(tmp_path / "reports.jsonl", lines(good))
