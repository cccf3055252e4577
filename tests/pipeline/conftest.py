"""A whole run in miniature by the real commands, made once for all tests of this folder.

It has data, both stages, memories, reports and scores.
"""

from __future__ import annotations

import pytest

from experiments.__main__ import main
from tests.pipeline.nano_run import Run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    finished = Run(tmp_path_factory.mktemp("pipeline"))
    finished.prepare()
    for step in (
        finished.fit_stage1,
        finished.mine,
        finished.encode_reports,
        finished.fit_stage2,
        finished.write_reports,
    ):
        assert step() == 0
    assert main(["score", str(finished.folder / "reports.jsonl"), "--bootstrap", "50", "--no-meteor"]) == 0
    return finished
