"""Films of every kind become upright 8-bit grey, and broken files become ReadErrors."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFile

from ammrg.errors import ReadError
from ammrg.imaging import reading
from ammrg.imaging.reading import read_film, shrink

RAMP = np.tile(np.arange(0, 240, 2, dtype=np.uint8), (80, 1))  # [80 120], dark on the left


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def test_grey_png_is_read_exactly():
    assert np.array_equal(read_film(encoded(Image.fromarray(RAMP))), RAMP)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "PA"])
def test_grey_in_another_mode_is_the_same_film(mode):
    image = Image.fromarray(RAMP)
    image = image.convert("RGBA").convert("LA") if mode == "LA" else image.convert(mode[:1] if mode == "PA" else mode)
    options = {"transparency": bytes([255] * 256)} if mode == "PA" else {}
    film = read_film(encoded(image, **options))
    assert film.dtype == np.uint8
    assert np.abs(film.astype(int) - RAMP).max() <= 1


def test_colour_palette_is_looked_up():
    image = Image.new("P", (40, 40), 1)
    image.putpalette([255, 255, 255, 0, 0, 0])
    assert read_film(encoded(image)).max() == 0


def test_transparent_is_black():
    clear = Image.new("RGBA", (40, 40), (255, 255, 255, 0))
    assert read_film(encoded(clear)).max() == 0
    half = Image.new("RGBA", (40, 40), (200, 200, 200, 128))
    assert np.abs(read_film(encoded(half)).astype(int) - 100).max() <= 1
    palette = Image.new("P", (40, 40), 1)
    palette.putpalette([0, 0, 0, 255, 255, 255])
    assert read_film(encoded(palette, transparency=1)).max() == 0
    assert read_film(encoded(palette, transparency=0)).min() == 255


def test_black_and_white_is_the_whole_range():
    film = read_film(encoded(Image.fromarray(RAMP > 100)))
    assert np.array_equal(film, np.where(RAMP > 100, 255, 0))


ADOBE = b"\xff\xee\x00\x0eAdobe"


def test_cmyk_jpeg_keeps_its_polarity():
    """Adobe stores ink inverted and says so in a marker; without one every viewer reads the same."""
    data = encoded(Image.fromarray(RAMP).convert("RGB").convert("CMYK"), "JPEG", quality=95)
    at = data.index(ADOBE)
    for stored in (data, data[:at] + data[at + 16 :]):
        assert np.abs(read_film(stored).astype(int) - RAMP).mean() < 4
        assert read_film(stored, at_least=30).shape == (40, 60)


def test_adobe_ycck_jpeg_keeps_its_polarity():
    """PIL inverts what it writes, so it is given the inverse; the last byte of the marker says YCCK."""
    grey, middle, none = (Image.fromarray(pixels) for pixels in (RAMP, RAMP * 0 + 127, RAMP * 0))
    data = bytearray(encoded(Image.merge("CMYK", (grey, middle, middle, none)), "JPEG", quality=95))
    data[data.index(ADOBE) + 15] = 2
    film = read_film(bytes(data))
    assert np.abs(film.astype(int) - RAMP).mean() < 4


@pytest.mark.parametrize("options", [{"progressive": True}, {"subsampling": 2}, {"keep_rgb": True}])
def test_colour_jpeg_becomes_luma(options):
    tint = np.roll(RAMP, 30, 1) // 8  # as much colour as a film may have
    colour = np.stack([RAMP // 2 + tint, RAMP // 2 + 30 - tint, RAMP // 2 + 15], axis=-1)
    film = read_film(encoded(Image.fromarray(colour), "JPEG", quality=95, **options))
    luma = colour @ [0.299, 0.587, 0.114]
    assert np.abs(film - luma).mean() < 2


@pytest.mark.parametrize(("low", "high"), [(0, 4095), (1000, 1200), (30_000, 65_535)])
def test_sixteen_bits_are_windowed_and_never_wrap(low, high):
    deep = np.linspace(low, high, 120).astype(np.uint16)
    film = read_film(encoded(Image.fromarray(np.tile(deep, (80, 1)))))
    assert film.min() == 0
    assert film.max() == 255
    assert (np.diff(film[0].astype(int)) >= 0).all()  # a wrap-around would fall somewhere


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_colour_of_sixteen_bits_is_windowed_too(suffix, channels):
    """PIL alone keeps the high bytes: 16 levels of 4,096."""
    deep = np.tile(np.linspace(0, 4095, 120).astype(np.uint16), (80, 1))
    layers = [deep] * 3 + [np.full_like(deep, 65_535)] * (channels - 3)
    film = read_film(cv2.imencode(suffix, cv2.merge(layers))[1].tobytes())
    assert np.array_equal(film, read_film(encoded(Image.fromarray(deep))))
    if channels == 4:
        layers[3] = np.where(deep > 2000, 0, 65_535).astype(np.uint16)
        film = read_film(cv2.imencode(suffix, cv2.merge(layers))[1].tobytes())
        assert film[deep > 2000].max() == 0
        assert film.max() == 255


def test_deep_tiff_of_either_polarity_and_order():
    deep = np.tile(np.linspace(1000, 60_000, 120).astype(np.uint16), (80, 1))
    film = read_film(encoded(Image.fromarray(deep)))
    assert np.array_equal(read_film(encoded(Image.fromarray(deep), "TIFF")), film)
    white_is_zero = encoded(Image.fromarray(deep), "TIFF", tiffinfo={262: 0})
    assert np.array_equal(read_film(white_is_zero), 255 - film)
    big_endian = Image.frombytes("I;16B", (120, 80), deep.astype(">u2").tobytes())
    assert np.array_equal(read_film(encoded(big_endian, "TIFF")), film)
    for kind in (np.int32, np.float32):
        far = deep.astype(kind) + kind(1_000_000_000 if kind is np.int32 else -50_000)
        assert np.array_equal(read_film(encoded(Image.fromarray(far), "TIFF")), film)


def test_constant_sixteen_bit_film_is_black():
    assert read_film(encoded(Image.fromarray(np.full((40, 40), 777, np.uint16)))).max() == 0


def test_deep_pixels_that_are_not_finite_are_refused():
    with pytest.raises(ReadError, match="not finite"):
        read_film(encoded(Image.fromarray(np.array([[0, np.nan, 1]], np.float32)), "TIFF"))


# How a camera would have stored an upright film for each orientation tag.
STORED = {
    1: lambda film: film,
    2: lambda film: film[:, ::-1],
    3: lambda film: film[::-1, ::-1],
    4: lambda film: film[::-1],
    5: lambda film: film.T,
    6: lambda film: np.rot90(film),
    7: lambda film: film.T[::-1, ::-1],
    8: lambda film: np.rot90(film, -1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_undone(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](RAMP))
    assert np.array_equal(read_film(encoded(Image.fromarray(stored), "PNG", exif=exif)), RAMP)
    film = read_film(encoded(Image.fromarray(stored), "JPEG", exif=exif, quality=95))
    assert np.abs(film.astype(int) - RAMP).max() <= 6
    deep = np.ascontiguousarray(STORED[orientation](RAMP.astype(np.uint16) * 10))
    assert np.array_equal(read_film(encoded(Image.fromarray(deep), "TIFF", tiffinfo={274: orientation})), window(RAMP))
    colour = cv2.imencode(".png", cv2.merge([deep] * 3))[1].tobytes()
    tag = exif.tobytes()[6:]
    chunk = struct.pack(">I", len(tag)) + b"eXIf" + tag + struct.pack(">I", zlib.crc32(b"eXIf" + tag))
    assert np.array_equal(read_film(colour[:33] + chunk + colour[33:]), window(RAMP))


def window(film: np.ndarray) -> np.ndarray:
    """To the whole range of 8 bits, independently of the code under test."""
    low, high = int(film.min()), int(film.max())
    return np.rint((film.astype(float) - low) / (high - low) * 255).astype(np.uint8)


def test_broken_exif_leaves_a_film_as_it_is():
    for exif in (b"Exif\0\0garbage", b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0\xff\xff\xff\xff" * 20):
        assert np.array_equal(read_film(encoded(Image.fromarray(RAMP), exif=exif)), RAMP)


def film_like(height: int = 3000, width: int = 2500) -> np.ndarray:
    """Soft shadows, a sharp edge, and the grain of a detector."""
    draw = np.random.default_rng(0)
    coarse = Image.fromarray(draw.integers(0, 256, (30, 25), dtype=np.uint8))
    pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32)
    pixels[height // 2 :, width // 3 : width // 2] += 60
    pixels += draw.normal(0, 6, pixels.shape).astype(np.float32)
    return pixels.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_large_jpeg_is_decoded_at_reduced_scale_and_looks_the_same(mode, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](film_like()))
    image = Image.fromarray(stored)
    image = image.convert("RGB").convert("CMYK") if mode == "CMYK" else image.convert(mode)
    data = encoded(image, "JPEG", quality=95, exif=exif)
    reduced = read_film(data, at_least=512)
    assert reduced.shape == (750, 625)
    whole = read_film(data)
    assert whole.shape == (3000, 2500)
    for side in (512, 224):
        difference = np.abs(shrink(reduced, side).astype(int) - shrink(whole, side))
        assert difference.mean() < 1.0
        assert np.percentile(difference, 99.9) <= 12  # along the edge


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


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, before: bytes = b"", pixels: bytes = b"\0" * 1000) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + before + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def claiming(format: str, width: int, height: int) -> bytes:
    """A small file whose header claims other sizes."""
    if format == "PNG":
        return png(width, height)
    data = bytearray(encoded(Image.fromarray(RAMP), format, **({"no_jp2": True} if format == "JPEG2000" else {})))
    if format == "JPEG":
        struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, height, width)
    elif format == "JPEG2000":
        struct.pack_into(">II", data, 8, width, height)
        struct.pack_into(">II", data, 24, width, height)  # one tile
    elif format == "BMP":
        struct.pack_into("<ii", data, 18, width, height)
    else:
        first = struct.unpack_from("<I", data, 4)[0]
        for entry in range(first + 2, first + 26, 12):  # ImageWidth and ImageLength come first
            tag = struct.unpack_from("<H", data, entry)[0]
            struct.pack_into("<HII", data, entry + 2, 4, 1, {256: width, 257: height}[tag])
    return bytes(data)


@pytest.fixture
def decoded(monkeypatch):
    """What was decoded to pixels: by Pillow, and by OpenCV."""
    found = []
    load, imdecode = ImageFile.ImageFile.load, cv2.imdecode
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: (found.append(image.format), load(image))[1])
    monkeypatch.setattr(cv2, "imdecode", lambda *words: (found.append("OpenCV"), imdecode(*words))[1])
    return found


def test_what_is_decoded_is_noticed(decoded):
    read_film(encoded(Image.fromarray(RAMP), "PNG"))
    assert decoded


@pytest.mark.parametrize("format", ["PNG", "JPEG", "JPEG2000", "TIFF", "BMP"])
@pytest.mark.parametrize("size", [(60_000, 60_000), (9_000, 9_000), (60_000, 1_500)])
def test_a_header_that_claims_too_much_is_refused_before_decoding(format, size, decoded):
    with pytest.raises(ReadError, match="pixels"):
        read_film(claiming(format, *size))
    assert decoded == []


def test_small_files_that_would_take_minutes_or_gigabytes_are_refused(decoded):
    bomb = zlib.compress(b"\0" * 50_000_000, 9)
    texts = [chunk(b"zTXt", b"a\0\0" + bomb), chunk(b"iTXt", b"a\0\1\0\0\0" + bomb), chunk(b"iCCP", b"a\0\0" + bomb)]
    many = chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * 1_000_000, 9)) * 100
    jpeg = encoded(Image.fromarray(RAMP), "JPEG", progressive=True)
    scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    tiles = bytearray(claiming("JPEG2000", 4_000, 4_000))
    struct.pack_into(">II", tiles, 24, 20, 20)
    for data, reason in (
        *((png(10, 10, text), "too large") for text in texts),
        (png(10, 10, many), "Too much memory"),
        (jpeg[:-2] + scan * 1_000 + b"\xff\xd9", "a JPEG of 1006 scans"),
        (bytes(tiles), "a JPEG 2000 of 40000 tiles"),
    ):
        with pytest.raises(ReadError, match=reason):
            read_film(data)
        assert decoded == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"no image at all" * 20, "whatever its name says, its content is no whole PNG, JPEG, JPEG2000, TIFF, BMP"),
        (png(60_000, 60_000), "pixels"),
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


@pytest.mark.parametrize("format", ["PNG", "JPEG", "JPEG2000", "TIFF", "BMP"])
def test_truncated_files_are_refused(format):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200), dtype=np.uint8))
    data = encoded(noise, format)
    for share in (0.2, 0.5, 0.95):
        with pytest.raises(ReadError, match="decoded"):
            read_film(data[: int(len(data) * share)])


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "film.png").write_bytes(b"x")
    monkeypatch.setattr(Path, "read_bytes", forbidden)
    with pytest.raises(ReadError, match=r"film.png: cannot be read \(Permission denied\); is this user allowed"):
        read_film(tmp_path / "film.png")


def test_what_is_no_file_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ReadError, match="no such file"):
        read_film(tmp_path / "absent.png")
    with pytest.raises(ReadError, match="not a file"):
        read_film(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")  # opening it would wait for a writer
    with pytest.raises(ReadError, match="not a file"):
        read_film(tmp_path / "pipe.png")
    path = tmp_path / "film.png"
    path.write_bytes(encoded(Image.fromarray(RAMP)))
    monkeypatch.setattr(reading, "MAX_BYTES", 100)
    with pytest.raises(ReadError, match="more than the 100 a film may have"):
        read_film(path)


def test_native_films_are_read_as_they_are(samples):
    """Against OpenCV's own PNG decoder; and a frontal film's mediastinum is brighter than the lung beside it."""
    paths = sorted((samples / "native_png").glob("*.png"))
    assert paths
    for path in paths:
        film = read_film(path)
        assert np.array_equal(film, cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
        assert shrink(film, 512).shape[::-1] == tuple(round(side * 512 / min(film.shape)) for side in film.shape[::-1])
        if path.name.endswith("-1001.dcm.png"):
            height, width = film.shape
            band = film[height // 3 : height // 2]
            lung = band[:, int(0.25 * width) : int(0.35 * width)].mean()
            assert band[:, int(0.45 * width) : int(0.52 * width)].mean() > lung
