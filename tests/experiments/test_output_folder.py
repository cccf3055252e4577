"""A folder that cannot be written to is found before anything is loaded."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ammrg.errors import SettingsError
from experiments.runs import output_folder
from experiments.runs.output_folder import check_output_folder


def test_a_writable_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    check_output_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"file/stage1: the run cannot write there .* OUT="):
        check_output_folder(tmp_path / "file" / "stage1")
    with pytest.raises(SettingsError, match="the run cannot write there"):
        check_output_folder(Path("/proc/self/run"))


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_folder, "LEAST_FREE", shutil.disk_usage(tmp_path).total * 2)
    with pytest.raises(SettingsError, match=r"MiB are free on its disk, but a run needs at least"):
        check_output_folder(tmp_path)
