"""A run's folder: where it finds what its settings name."""

from __future__ import annotations

from pathlib import Path

import pytest

from ammrg.errors import CheckpointError
from experiments.runs.run import Run
from experiments.runs.told import print_told


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with its language model and data in the folder that it was trained from."""
    for folder in ("outputs/phantom/mine", "models/llm", "data/phantom"):
        (tmp_path / "root" / folder).mkdir(parents=True)
    return Run(tmp_path / "root" / "outputs" / "phantom" / "mine")


def test_relative_paths_are_found_from_any_working_directory(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "models" / "llm").mkdir(parents=True)  # the run's own goes first
    monkeypatch.chdir(elsewhere)
    assert run.find("models/llm") == str(tmp_path / "root" / "models" / "llm")
    assert run.data_folder("data/other") == "data/other"  # named by the user, so taken as it is
    run.kept = {"datamodule_hyper_parameters": {"folder": "data/phantom"}}
    assert run.data_folder() == str(tmp_path / "root" / "data" / "phantom")


def test_the_nearest_folder_above_the_run_goes_first(run: Run, tmp_path: Path) -> None:
    (tmp_path / "models" / "llm").mkdir(parents=True)
    assert run.find("models/llm") == str(tmp_path / "root" / "models" / "llm")
    nearer = tmp_path / "root" / "outputs" / "models" / "llm"
    nearer.mkdir(parents=True)
    assert run.find("models/llm") == str(nearer)


def test_a_run_named_by_a_relative_path_is_searched_from_too(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.folder)
    assert Run(".").find("models/llm") == str(tmp_path / "root" / "models" / "llm")


@pytest.mark.parametrize("path", ["/somewhere/llm", "s3://bucket/prepared/phantom", "someone/model", "models/absent"])
def test_other_places_stay_as_they_are(run: Run, path: str) -> None:
    assert run.find(path) == path


def test_a_run_that_is_not_there_is_an_error_that_names_the_nearest(run: Run) -> None:
    with pytest.raises(CheckpointError, match=r"no trained run \(make stage2 trains one\); no such file: there is no"):
        _ = run.checkpoint
    slip = str(run.folder.parent / "mien")
    with pytest.raises(CheckpointError, match=r"did you mean .*/outputs/phantom/mine\?"):
        print_told(slip, None)  # of more slashes than a hub id
