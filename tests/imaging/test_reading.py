"""Films of every kind become upright 8-bit grey, and broken files become ReadErrors."""

from __future__ import annotations

import io
import random
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from ammrg.errors import ReadError
from ammrg.imaging.reading import read_film, shrink

RAMP = np.tile(np.arange(0, 240, 2, dtype=np.uint8), (80, 1))  # [80 120], dark on the left


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def test_grey_png_is_read_exactly():
    assert np.array_equal(read_film(encoded(Image.fromarray(RAMP))), RAMP)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_grey_in_another_mode_is_the_same_film(mode):
    image = Image.fromarray(RAMP)
    image = image.convert("RGBA").convert("LA") if mode == "LA" else image.convert(mode)
    film = read_film(encoded(image))
    assert film.dtype == np.uint8
    assert np.abs(film.astype(int) - RAMP).max() <= 1


def test_colour_palette_is_looked_up():
    image = Image.new("P", (40, 40), 1)
    image.putpalette([255, 255, 255, 0, 0, 0])
    assert read_film(encoded(image)).max() == 0


def test_transparent_is_black():
    clear = Image.new("RGBA", (40, 40), (255, 255, 255, 0))
    assert read_film(encoded(clear)).max() == 0


def test_cmyk_jpeg_keeps_its_polarity():
    film = read_film(encoded(Image.fromarray(RAMP).convert("RGB").convert("CMYK"), "JPEG", quality=95))
    assert np.abs(film.astype(int) - RAMP).mean() < 4


@pytest.mark.parametrize(("low", "high"), [(0, 4095), (1000, 1200), (30_000, 65_535)])
def test_sixteen_bits_are_windowed_and_never_wrap(low, high):
    deep = np.linspace(low, high, 120).astype(np.uint16)
    film = read_film(encoded(Image.fromarray(np.tile(deep, (80, 1)))))
    assert film.min() == 0
    assert film.max() == 255
    assert (np.diff(film[0].astype(int)) >= 0).all()  # a wrap-around would fall somewhere


def test_constant_sixteen_bit_film_is_black():
    assert read_film(encoded(Image.fromarray(np.full((40, 40), 777, np.uint16)))).max() == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_undone(orientation):
    # How a camera would have stored the upright film for each orientation tag.
    stored = {
        1: RAMP,
        2: RAMP[:, ::-1],
        3: RAMP[::-1, ::-1],
        4: RAMP[::-1],
        5: RAMP.T,
        6: np.rot90(RAMP),
        7: RAMP.T[::-1, ::-1],
        8: np.rot90(RAMP, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    film = read_film(encoded(Image.fromarray(np.ascontiguousarray(stored)), "PNG", exif=exif))
    assert np.array_equal(film, RAMP)


def test_large_jpeg_is_decoded_at_reduced_scale_and_looks_the_same():
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (30, 25), dtype=np.uint8)
    large = Image.fromarray(coarse).resize((2500, 3000), Image.Resampling.BICUBIC)
    data = encoded(large, "JPEG", quality=95)
    reduced = read_film(data, at_least=512)
    assert 512 <= min(reduced.shape) < 2500
    whole = shrink(read_film(data), 256)
    assert np.abs(shrink(reduced, 256).astype(int) - whole).mean() < 2


def test_sizes_keep_the_aspect_and_never_grow():
    data = encoded(Image.fromarray(RAMP))
    assert read_film(data, max_side=60).shape == (40, 60)
    assert read_film(data, max_side=500).shape == RAMP.shape
    assert shrink(RAMP, 40).shape == (40, 60)
    assert shrink(RAMP, 400).shape == RAMP.shape


def test_content_decides_not_the_suffix(tmp_path):
    path = tmp_path / "film.jpg"
    path.write_bytes(encoded(Image.fromarray(RAMP)))
    assert np.array_equal(read_film(path), RAMP)


def png_header_claiming(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"no image at all" * 20, "cannot"),
        (png_header_claiming(60_000, 60_000), "pixels"),
        (png_header_claiming(9_000, 9_000), "pixels"),
        (b"\0" * 128 + b"DICM" + b"\0" * 100, "decoded|DICOM|Photometric"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "cannot"),
    ],
)
def test_bad_content_names_file_and_reason(tmp_path, data, reason):
    path = tmp_path / "bad.png"
    path.write_bytes(data)
    with pytest.raises(ReadError, match=reason) as caught:
        read_film(path)
    assert "bad.png" in str(caught.value)


def test_truncated_and_missing_files(tmp_path):
    for format in ("PNG", "JPEG"):
        noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200), dtype=np.uint8))
        data = encoded(noise, format)
        with pytest.raises(ReadError, match="decoded"):
            read_film(data[: len(data) // 2])
    with pytest.raises(ReadError, match="no such file"):
        read_film(tmp_path / "absent.png")
    with pytest.raises(ReadError):
        read_film(tmp_path)


def test_five_hundred_corrupted_files_give_a_film_or_a_read_error():
    draw = random.Random(0)
    deep = np.random.default_rng(0).integers(0, 4096, (64, 64)).astype(np.uint16)
    originals = [
        encoded(Image.fromarray(RAMP)),
        encoded(Image.fromarray(RAMP), "JPEG"),
        encoded(Image.fromarray(deep)),
        encoded(Image.fromarray(RAMP).convert("P"), "PNG"),
        encoded(Image.fromarray(RAMP), "TIFF"),
        encoded(Image.fromarray(RAMP), "JPEG2000"),
        encoded(Image.fromarray(RAMP), "BMP"),
    ]
    read = refused = 0
    slowest = 0.0
    for number in range(500):
        data = bytearray(draw.choice(originals))
        if number % 3 == 0:
            data = data[: draw.randrange(len(data))]
        for _ in range(draw.randrange(1, 12)):
            if data:
                data[draw.randrange(min(len(data), draw.choice((40, len(data)))))] ^= 1 << draw.randrange(8)
        started = time.perf_counter()
        try:
            film = read_film(bytes(data))
            assert film.ndim == 2
            assert film.dtype == np.uint8
            read += 1
        except ReadError:
            refused += 1
        slowest = max(slowest, time.perf_counter() - started)
    assert read > 20
    assert refused > 50
    assert slowest < 1.0
