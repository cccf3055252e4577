"""Five hundred broken files of every format: each gives a film or a ReadError, within a second and without a crash."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
FILES = 500
CALLS, MEBIBYTES = 300_000, 1024
"""How many functions may be called for one file (and 20 s, where none is), and what the reader may hold at the end of
all (a film of the largest size included)."""

READER = """
import faulthandler, json, sys
from pathlib import Path
import pydicom.pixels  # a library is imported once, not by the first file that needs it
from ammrg.errors import ReadError
from ammrg.imaging.reading import read_film
from tests.counted_steps import counted_calls

def read(path):
    try:
        film = read_film(path, at_least=40 if path.name < "00250" else None)
        assert film.ndim == 2 and film.dtype == "uint8" and film.size, (film.shape, film.dtype)
        told.update(outcome="film", words="")
    except ReadError as error:
        told.update(outcome="refused", words=str(error))

faulthandler.enable()
for path in sorted(Path(sys.argv[1]).iterdir()):
    print(json.dumps({"file": path.name}), flush=True)
    faulthandler.dump_traceback_later(20, exit=True)
    told = {"file": path.name}
    told["calls"] = counted_calls(lambda: read(path))
    print(json.dumps(told), flush=True)
# Of this process alone: ru_maxrss begins at what the parent held when it forked.
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(json.dumps({"mib": int(peak.split()[1]) // 1024}), flush=True)
"""


def originals(dicom: Callable[..., bytes]) -> dict[str, bytes]:
    """One whole film of every kind, by a name whose suffix tells the truth."""
    grey = (np.add.outer(np.arange(80), np.arange(120)) * 1.2).astype(np.uint8)
    deep = grey.astype(np.uint16) * 16
    exif = Image.Exif()
    exif[0x0112] = 6
    palette = Image.fromarray(grey).convert("P")

    def encoded(image: Image.Image, format: str, **options: object) -> bytes:
        file = io.BytesIO()
        image.save(file, format, **options)
        return file.getvalue()

    one, colour = Image.fromarray(grey), Image.fromarray(grey).convert("RGB")
    return {
        "grey.png": encoded(one, "PNG"),
        "deep.png": encoded(Image.fromarray(deep), "PNG", exif=exif),
        "alpha.png": encoded(colour.convert("RGBA"), "PNG"),
        "palette.png": encoded(palette, "PNG", transparency=3),
        "deep_colour.png": cv2.imencode(".png", cv2.merge([deep] * 3))[1].tobytes(),
        "grey.jpg": encoded(one, "JPEG", exif=exif),
        "progressive.jpg": encoded(colour, "JPEG", progressive=True),
        "cmyk.jpg": encoded(colour.convert("CMYK"), "JPEG"),
        "grey.jp2": encoded(one, "JPEG2000"),
        "deep.j2k": encoded(Image.fromarray(deep), "JPEG2000", no_jp2=True),
        "grey.tif": encoded(one, "TIFF"),
        "lzw.tif": encoded(colour, "TIFF", compression="tiff_lzw"),
        "fax.tif": encoded(Image.fromarray(grey > 90), "TIFF", compression="group4"),
        "deep_colour.tif": cv2.imencode(".tiff", cv2.merge([deep] * 3))[1].tobytes(),
        "grey.bmp": encoded(one, "BMP"),
        "palette.bmp": encoded(palette, "BMP"),
        "plain.dcm": dicom(deep, WindowCenter=2000, WindowWidth=3000),
        "rle.dcm": dicom(deep, compress="rle"),
        "jpeg.dcm": dicom(grey, bits=8, compress="jpeg"),
        "jpeg2000.dcm": dicom(deep, bits=16, compress="jpeg2000", PhotometricInterpretation="MONOCHROME1"),
    }


def somewhere(data: bytes, draw: random.Random) -> int:
    """A place in a file; in half of the cases among the first few hundred bytes, where the headers are."""
    return draw.randrange(draw.choice((min(len(data), 400), len(data))))


def truncated(data: bytes, draw: random.Random) -> bytes:
    return data[: somewhere(data, draw)]


def flipped(data: bytes, draw: random.Random) -> bytes:
    broken = bytearray(data)
    for _ in range(draw.randrange(1, 12)):
        broken[somewhere(data, draw)] ^= 1 << draw.randrange(8)
    return bytes(broken)


def zeroed(data: bytes, draw: random.Random) -> bytes:
    start = somewhere(data, draw)
    length = draw.choice((4, 64, len(data)))
    return data[:start] + bytes(min(length, len(data) - start)) + data[start + length :]


def huge(data: bytes, draw: random.Random) -> bytes:
    """Lengths and sizes of two or four bytes become as large as they can be."""
    broken = bytearray(data)
    for _ in range(draw.randrange(1, 4)):
        start = somewhere(data, draw)
        value = draw.choice((b"\xff\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\x40\0"))
        broken[start : start + len(value)] = value
    return bytes(broken)


def swapped(data: bytes, draw: random.Random) -> bytes:
    """Two stretches trade places."""
    a, b, c, d = sorted(somewhere(data, draw) for _ in range(4))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def doubled(data: bytes, draw: random.Random) -> bytes:
    """A stretch stands there several times."""
    start, end = sorted(somewhere(data, draw) for _ in range(2))
    return data[:end] + data[start:end] * draw.choice((1, 3, 40)) + data[end:]


def misnamed(data: bytes, draw: random.Random) -> bytes:
    """Nothing but the name is wrong."""
    return data


BREAKERS = (truncated, flipped, flipped, zeroed, huge, huge, swapped, doubled, misnamed)


def break_files(folder: Path, whole: dict[str, bytes], count: int, seed: int) -> None:
    """Write ``count`` broken files; number and seed decide each, so one of them can be made again alone."""
    names = sorted(whole)
    for number in range(count):
        draw = random.Random(f"{seed} {number}")
        name, breaker = names[number % len(names)], draw.choice(BREAKERS)
        suffix = draw.choice((".png", ".jpg", ".dcm", "")) if breaker is misnamed else Path(name).suffix
        path = folder / f"{number:05d}_{breaker.__name__}_{Path(name).stem}{suffix}"
        path.write_bytes(breaker(whole[name], draw))


def test_each_broken_file_gives_a_film_or_a_read_error(tmp_path, dicom):
    """In another process, so that a crash or a hang names its file instead of ending the tests."""
    folder = tmp_path / "broken"
    folder.mkdir()
    break_files(folder, originals(dicom), FILES, seed=0)
    command = [sys.executable, "-c", READER, str(folder)]
    reader = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    lines = [json.loads(line) for line in reader.stdout.splitlines()]
    assert reader.returncode == 0, f"{lines[-1] if lines else 'before the first file'}: {reader.stderr[-4000:]}"
    results = [line for line in lines if "outcome" in line]
    assert len(results) == FILES
    assert {line["file"]: line["calls"] for line in results if line["calls"] >= CALLS} == {}
    refusals = [line for line in results if line["outcome"] == "refused"]
    assert not [line for line in refusals if line["file"] not in line["words"]]
    # One line that is the same in every run: it goes into rejected.jsonl.
    assert not [line for line in refusals if not line["words"].isprintable() or "object at 0x" in line["words"]]
    assert lines[-1]["mib"] < MEBIBYTES
    outcomes = Counter(line["outcome"] for line in results)
    assert min(outcomes["film"], outcomes["refused"]) > FILES // 5, outcomes
    assert all(line["outcome"] == "film" for line in results if "_misnamed_" in line["file"])


@pytest.mark.parametrize("suffix", [".png", ".dcm"])
def test_whole_files_are_read_under_any_name(tmp_path, dicom, suffix):
    from ammrg.imaging.reading import read_film

    for name, data in originals(dicom).items():
        path = tmp_path / f"{Path(name).stem}{suffix}"
        path.write_bytes(data)
        assert sorted(read_film(path).shape) == [80, 120], name
