"""Pictures are written whole or not at all and are reproducible, and the one in docs is up to date."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules import pictures
from datamodules.pictures import augmentation_sheet, contact_sheet, findings_chart
from datamodules.prepared import read_card
from experiments.data.preparation import prepare

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("prepared")
    prepare("phantom", None, path, size=64, workers=1, studies={"train": 6, "val": 2, "test": 2})
    return path


@pytest.fixture(scope="module")
def draw(folder):
    """The three pictures by name; each is a function of its path."""
    card = read_card(folder)
    return {
        "contact_sheet": lambda path: contact_sheet(folder, card, path),
        "findings": lambda path: findings_chart(card, path),
        "augmentation": augmentation_sheet,
    }


@pytest.mark.parametrize("name", ["contact_sheet", "findings", "augmentation"])
def test_the_same_data_give_the_same_bytes(draw, tmp_path, name):
    written = []
    for number in range(2):
        draw[name](tmp_path / f"{number}.png")
        written.append((tmp_path / f"{number}.png").read_bytes())
    assert written[0] == written[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.png", "1.png"]


@pytest.mark.parametrize("name", ["contact_sheet", "findings", "augmentation"])
def test_a_picture_that_is_not_finished_is_not_there(draw, tmp_path, monkeypatch, name):
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    path, old = tmp_path / "picture.png", tmp_path / "old.png"
    old.write_bytes(b"an older picture")
    monkeypatch.setattr("os.replace", stopped)
    for place in (path, old):
        with pytest.raises(KeyboardInterrupt):
            draw[name](place)
    assert not path.exists()
    assert old.read_bytes() == b"an older picture"


def test_the_augmentation_sheet_shows_films_first_as_they_are_then_varied(tmp_path):
    augmentation_sheet(tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet)
    cell, rows = pictures.SMALL_CELL, 4
    assert pixels.shape[1] == 8 * cell
    films = [
        [pixels[14 + row * (cell + 14) :][:cell, column * cell :][:, :cell] for column in range(8)]
        for row in range(rows)
    ]
    for row in films:
        assert len({film.tobytes() for film in row}) >= 6  # training sometimes leaves a film unchanged
        assert max(np.abs(varied - row[0].astype(float)).mean() for varied in row[1:]) < 60
    assert min(film.std() for row in films for film in row) > 20


def test_the_sheet_in_docs_is_what_the_code_draws(tmp_path):
    """Nearly equal, since OpenCV builds round differently; ``python -m datamodules.pictures`` draws it again."""
    augmentation_sheet(tmp_path / "sheet.png")
    kept = ROOT / pictures.AUGMENTATION
    assert kept.stat().st_size < 600_000
    with Image.open(kept) as in_docs, Image.open(tmp_path / "sheet.png") as drawn:
        assert in_docs.size == drawn.size
        assert np.abs(np.asarray(in_docs, np.float32) - np.asarray(drawn, np.float32)).mean() < 0.5
