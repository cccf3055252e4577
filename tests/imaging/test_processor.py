"""Film files of one study, read as the networks read them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from ammrg.errors import ReadError
from ammrg.imaging.processor import FilmProcessor


def test_films_are_read_as_the_run_read_them(tmp_path: Path) -> None:
    files = []
    for place, shade in enumerate((40, 200)):
        Image.new("L", (64, 80), shade).save(tmp_path / f"{place}.png")
        files.append(tmp_path / f"{place}.png")
    both = FilmProcessor(32)(files, ["lateral", "frontal"], study_id="a", subject_id="p", indication="cough")
    assert both.images.shape == (2, 1, 32, 32)
    assert both.images.dtype == torch.uint8
    assert both.images[:, 0, 0, 0].tolist() == [40, 200]
    assert (both.study_ids, both.subject_ids, both.projections) == (["a"], ["p"], ["lateral", "frontal"])
    assert both.indications == ["cough"]
    frontal = FilmProcessor(32, "frontal")(files, ["lateral", "frontal"])
    assert (frontal.projections, frontal.images[:, 0, 0, 0].tolist()) == (["frontal"], [200])
    assert FilmProcessor(32, "frontal")(files, ["lateral", "lateral"]).images.shape[0] == 2
    assert torch.equal(FilmProcessor(32)([files[0].read_bytes()]).images, both.images[:1])
    with pytest.raises(ValueError, match="2 films and 1 projections"):
        FilmProcessor(32)(files, ["frontal"])
    with pytest.raises(ValueError, match="0 films"):
        FilmProcessor(32)([])
    with pytest.raises(ReadError, match=r"none.png: no such file"):
        FilmProcessor(32)([tmp_path / "none.png"])
