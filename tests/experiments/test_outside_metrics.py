"""radeval as a process: what goes wrong is told; the real package is asked where AMMRG_RADEVAL_PYTHON names its python.

Its BLEU needs no download, so it stands for the others here: the way to the package and back is the same.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ammrg.errors import ScoringError
from experiments.outside_metrics import per_study


def test_a_python_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScoringError, match=r"no such file. .*pip install radeval"):
        per_study(tmp_path / "python", ["radgraph"], ["a"], ["a"])


def test_an_environment_without_radeval_is_named() -> None:
    with pytest.raises(ScoringError, match=r"No module named 'radeval'. .*pip install radeval"):
        per_study(Path(sys.executable), ["radgraph"], ["a"], ["a"])


@pytest.mark.skipif("AMMRG_RADEVAL_PYTHON" not in os.environ, reason="radeval's python is not named")
def test_the_package_answers_study_by_study() -> None:
    python = Path(os.environ["AMMRG_RADEVAL_PYTHON"])
    references = ["the lungs are clear today .", "no effusion or edema seen .", "heart size is normal now ."]
    found = per_study(python, ["bleu"], references, [references[0], "heart", references[2]])
    assert found["radeval_bleu"][[0, 2]] == pytest.approx([1.0, 1.0])
    assert found["radeval_bleu"][1] < 0.1
    with pytest.raises(ScoringError, match="no_such_metric"):
        per_study(python, ["no_such_metric"], references, references)
