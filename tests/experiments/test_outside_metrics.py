"""radeval as a process: what goes wrong is told; the real package is asked where AMMRG_RADEVAL_PYTHON names its python.

Its BLEU needs no download, so it stands for the others here: the way to the package and back is the same.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ammrg.errors import ScoringError
from ammrg.evaluation.outside_metrics import per_study


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


@pytest.fixture
def earlier_name(tmp_path: Path) -> Path:
    """A python with a package laid out as radeval 2.2.1: its RadGraph imports ``RadEval`` and needs a hub's weights."""
    site = tmp_path / "site"
    metrics = site / "radeval" / "metrics"
    metrics.mkdir(parents=True)
    (metrics / "__init__.py").touch()
    (metrics / "reward.py").write_text("def reward(ref, hyp):\n    return float(ref == hyp)\n")
    (metrics / "radgraph.py").write_text(
        "from RadEval.metrics.reward import reward\n"
        "import socket\n"
        "def score(refs, hyps):\n"
        "    if 'fetch' in refs:\n"
        "        try:\n"
        "            raise socket.gaierror(-2, 'Name or service not known')\n"
        "        except OSError as error:\n"
        "            raise Exception('Cannot download the file\\nmake sure your Internet connection is on.')\n"
        "    return [reward(*pair) for pair in zip(refs, hyps)]\n"
    )
    (site / "radeval" / "__init__.py").write_text(
        "class RadEval:\n"
        "    def __init__(self, metrics, per_sample):\n"
        "        assert per_sample\n"
        "        self.metrics = metrics\n"
        "    def __call__(self, refs, hyps):\n"
        "        if self.metrics != ['radgraph']:\n"
        "            raise ValueError(f'Unknown metric {self.metrics}')\n"
        "        from .metrics.radgraph import score\n"
        "        return {'radgraph_simple': score(refs, hyps)}\n"
    )
    (site / "radeval-2.2.1.dist-info").mkdir()
    (site / "radeval-2.2.1.dist-info" / "METADATA").write_text("Name: radeval\nVersion: 2.2.1\n")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{site}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return python


def test_metrics_that_import_the_package_by_its_earlier_name_run(earlier_name: Path) -> None:
    assert per_study(earlier_name, ["radgraph"], ["a", "b"], ["a", "c"])["radeval_radgraph_simple"].tolist() == [1, 0]


def test_weights_that_cannot_be_had_are_no_missing_package(earlier_name: Path) -> None:
    with pytest.raises(ScoringError, match=r"Name or service not known. Its weights .*hub.*bring the caches") as failed:
        per_study(earlier_name, ["radgraph"], ["fetch"], ["a"])
    assert "pip install" not in str(failed.value)
    with pytest.raises(ScoringError, match=r"Unknown metric \['rouge'\]. With --radeval name metrics"):
        per_study(earlier_name, ["rouge"], ["a"], ["a"])


@pytest.mark.skipif("AMMRG_RADEVAL_PYTHON" not in os.environ, reason="radeval's python is not named")
@pytest.mark.parametrize("name", ["radgraph", "radcliq", "radgraph_radcliq"])
def test_the_package_comes_as_far_as_its_weights(name: str) -> None:
    said = ""
    try:
        assert per_study(Path(os.environ["AMMRG_RADEVAL_PYTHON"]), [name], ["no effusion ."], ["no effusion ."])
    except ScoringError as error:
        said = str(error)
    assert not said or "Its weights are not here" in said
