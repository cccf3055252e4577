"""The folder of ``--out``: one that cannot be used is an error at once, and an empty one is removed again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ammrg.__main__ import main
from ammrg.commands.output_folder import output_folder
from ammrg.errors import SettingsError


@pytest.fixture
def film(tmp_path: Path) -> str:
    Image.fromarray(np.tile(np.arange(64, dtype=np.uint8), (64, 1))).save(tmp_path / "film.png")
    return str(tmp_path / "film.png")


@pytest.mark.parametrize("below", ["taken", "taken/deeper"])
def test_a_folder_that_cannot_be_written_is_one_sentence(
    film: str, below: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("a file")
    assert main(["describe", film, "--model", "gone", "--out", str(tmp_path / below)]) == 1
    said = capsys.readouterr().err
    assert f"error: --out {tmp_path / below}: {tmp_path / 'taken'} is a file; name another folder" in said
    assert "gone" not in said


def test_a_folder_is_for_one_process(film: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    with output_folder(out):
        assert main(["describe", film, "--model", "gone", "--out", str(out)]) == 1
        assert f"--out {out}: another process writes into it" in capsys.readouterr().err
        with output_folder(tmp_path / "other"):
            (out / "report.json").touch()
    assert [path.name for path in out.iterdir()] == ["report.json"]
    with output_folder(out):
        pass


def test_an_empty_folder_stays_only_where_it_was_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="stopped"), output_folder(tmp_path / "new"):
        raise SettingsError("stopped")
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").mkdir()
    with output_folder(tmp_path / "old"):
        pass
    assert (tmp_path / "old").exists()


def test_new_folders_above_go_too(tmp_path: Path) -> None:
    with output_folder(tmp_path / "described" / "front"):
        assert (tmp_path / "described" / "front").is_dir()
    assert list(tmp_path.iterdir()) == []
    with output_folder(tmp_path / "described" / "front"):
        (tmp_path / "described" / "side").mkdir()
    assert [path.name for path in (tmp_path / "described").iterdir()] == ["side"]
