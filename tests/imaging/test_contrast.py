"""Pictures that show nothing are told from films."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from ammrg.errors import ReadError
from ammrg.imaging.contrast import check_contrast
from ammrg.imaging.reading import read_film


def jpeg(grey: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((90, 70), grey, np.uint8)).save(file, "JPEG", quality=30)
    return file.getvalue()


@pytest.mark.parametrize("grey", [0, 97, 255])
def test_an_even_picture_is_refused(grey: int) -> None:
    with pytest.raises(ReadError, match=r"^a\.jpg: 99% of its pixels or more are of one grey"):
        check_contrast(read_film(jpeg(grey)), "a.jpg")


def test_a_black_picture_with_some_text_is_refused() -> None:
    film = np.zeros((100, 100), np.uint8)
    film[:9, :10] = 255
    with pytest.raises(ReadError, match="a picture without contrast"):
        check_contrast(film, "a.png")


def test_a_dim_film_and_one_with_a_wide_border_are_films() -> None:
    check_contrast(np.arange(10_000, dtype=np.uint32).reshape(100, 100).astype(np.uint8) // 51, "dim.png")
    film = np.zeros((100, 100), np.uint8)
    film[:10, :20] = np.arange(200, dtype=np.uint8).reshape(10, 20)
    check_contrast(film, "border.png")
