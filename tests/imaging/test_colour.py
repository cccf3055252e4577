"""A picture in colour is refused with its cure, in every format; a film stored as one is read."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from ammrg.errors import ReadError
from ammrg.imaging.reading import read_film

SIDE = 200
GREY = np.add.outer(np.arange(SIDE), np.arange(SIDE)).astype(np.uint8) // 2 + 20
REFUSED = r"a picture in colour \(\d+% of it, .*save it in grey first"


def encoded(pixels: np.ndarray, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert("CMYK") if options.pop("cmyk", False) else image).save(file, format, **options)
    return file.getvalue()


def gradient() -> np.ndarray:
    """Red to the right, green downward."""
    ramp = np.linspace(0, 255, SIDE).astype(np.uint8)
    across = np.tile(ramp, (SIDE, 1))
    return np.stack([across, across.T, np.full_like(across, 90)], axis=-1)


def skin() -> np.ndarray:
    """A pale thing of three warm greys before white: a photograph has as little colour as this."""
    picture = np.full((SIDE, SIDE, 3), 245, np.uint8)
    cv2.ellipse(picture, (100, 100), (60, 80), 0, 0, 360, (222, 188, 168), -1)
    return picture


FORMATS = {
    "png": ("PNG", {}),
    "jpeg": ("JPEG", {"quality": 90}),
    "rgb jpeg": ("JPEG", {"keep_rgb": True}),
    "progressive": ("JPEG", {"progressive": True}),
    "cmyk": ("JPEG", {"cmyk": True}),
    "tiff": ("TIFF", {}),
    "bmp": ("BMP", {}),
    "jpeg 2000": ("JPEG2000", {}),
}


@pytest.mark.parametrize("at_least", [None, 40])
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("draw", [gradient, skin])
def test_colour_is_refused_in_every_format(tmp_path, kind, draw, at_least):
    path = tmp_path / "picture"
    path.write_bytes(encoded(draw(), FORMATS[kind][0], **FORMATS[kind][1]))
    with pytest.raises(ReadError, match=REFUSED) as caught:
        read_film(path, at_least=at_least)
    assert str(caught.value).startswith(f"{path}: ")


def test_colour_is_refused_in_palettes_deep_channels_and_behind_transparency():
    palette = Image.fromarray(gradient()).quantize(64)
    file = io.BytesIO()
    palette.save(file, "PNG")
    deep = cv2.imencode(".png", gradient().astype(np.uint16) * 257)[1].tobytes()
    clear = np.dstack([gradient(), np.full((SIDE, SIDE), 255, np.uint8)])
    for data in (file.getvalue(), deep, encoded(clear, "PNG")):
        with pytest.raises(ReadError, match=REFUSED):
            read_film(data)
    clear[..., 3] = 0
    clear[50:80, 50:80] = 200
    assert read_film(encoded(clear, "PNG")).max() > 100  # colour that nobody sees


@pytest.mark.parametrize("kind", FORMATS)
def test_grey_that_is_stored_as_colour_is_a_film(kind):
    film = read_film(encoded(np.dstack([GREY] * 3), FORMATS[kind][0], **FORMATS[kind][1]))
    assert np.abs(film.astype(int) - GREY).mean() < 4


def test_a_marker_a_tint_and_noise_are_no_picture_in_colour():
    marked = np.dstack([GREY] * 3)
    cv2.putText(marked, "L", (150, 40), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (255, 255, 0), 3)
    tinted = np.dstack([GREY, GREY + np.uint8(8), GREY + np.uint8(25)])
    noise = np.random.default_rng(0).normal(0, 8, (SIDE, SIDE, 3))
    noisy = (np.dstack([GREY] * 3) + noise).clip(0, 255).astype(np.uint8)
    for pixels in (marked, tinted, noisy):
        for data in (encoded(pixels, "PNG"), encoded(pixels, "JPEG", quality=40)):
            assert read_film(data).shape == GREY.shape
