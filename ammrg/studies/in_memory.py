"""Films that a program holds: paths, bytes, PIL images, numpy arrays and pydicom data sets, all as encoded bytes.

So a film is read in the same way wherever it comes from.
"""

from __future__ import annotations

import importlib
import io
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ammrg.errors import ReadError
from ammrg.imaging.reading import turn_upright
from ammrg.studies.sources import NAMED, Source

if TYPE_CHECKING:
    import pydicom

    FilmInput = Path | str | bytes | Image.Image | NDArray[np.uint8] | NDArray[np.uint16] | pydicom.Dataset
    """A film in any form that :func:`film_source` takes."""


def film_source(film: FilmInput, number: int) -> Source:
    """Make the source of a film.

    Args:
        film: the path of a file; an encoded file's bytes; a PIL image; an array ``[h w]`` of uint8 or uint16 in which
            larger values are brighter (MONOCHROME2) and bone is bright (16 bits are scaled by their smallest and
            largest value); or a pydicom data set with its pixels and ``file_meta``.
        number: its place in the study, from 1, for messages.

    Raises:
        ReadError: a data set cannot be encoded.
        ValueError: an array of another shape or type.
        TypeError: anything else.
    """
    name = f"film {number}"
    if isinstance(film, Path | str):
        return Source(str(film), NAMED, Path(film))
    if isinstance(film, bytes):
        return Source(name, NAMED, film)
    if isinstance(film, np.ndarray):
        return Source(name, NAMED, _encoded(_checked(film, name)))
    if isinstance(film, Image.Image):
        return Source(name, NAMED, _encoded(film))
    if "pydicom" in sys.modules and isinstance(film, sys.modules["pydicom"].Dataset):
        return Source(name, NAMED, _written(film, name))
    raise TypeError(
        f"{name} is a {type(film).__name__}; give a path, bytes, a PIL image, a numpy array or a pydicom data set"
    )


def _checked(array: NDArray[Any], name: str) -> Image.Image:
    native = array.dtype.newbyteorder("=")
    if array.ndim != 2 or native not in (np.uint8, np.uint16) or not array.size:
        raise ValueError(
            f"{name}: an array of {array.dtype} {list(array.shape)}; expected uint8 or uint16 [h w], larger is brighter"
        )
    return Image.fromarray(np.ascontiguousarray(array, dtype=native))


def _encoded(image: Image.Image) -> bytes:
    """Encode an image without loss, upright, with its transparency."""
    upright = image.copy()
    turn_upright(upright)
    if upright.has_transparency_data and upright.mode not in ("RGBA", "L"):
        upright = upright.convert("RGBA")
    file = io.BytesIO()
    upright.save(file, "TIFF")
    return file.getvalue()


def _written(tags: Any, name: str) -> bytes:
    pydicom: Any = importlib.import_module("pydicom")
    file = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of values that the standard does not allow, and films have
            pydicom.dcmwrite(file, tags, enforce_file_format=True)
    except Exception as error:  # pydicom raises many types of exception on values that it cannot encode
        raise ReadError(f"{name}: a data set that cannot be encoded: {error}") from error
    return file.getvalue()
