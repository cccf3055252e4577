"""Pictures that show nothing: black, white or an even grey."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ammrg.errors import ReadError

EVEN = 0.99
"""Share of its pixels from which on a picture is even: a black one may still bear a line of text."""
LEVELS = 3
"""Neighbouring grey levels that count as the same: a JPEG of one level may waver by one."""


def check_contrast(film: NDArray[np.uint8], name: str) -> None:
    """Refuse a film ``[h w]`` that shows nothing.

    Raises:
        ReadError: at least :data:`EVEN` of its pixels are within :data:`LEVELS` grey levels.
    """
    counts = np.bincount(film.ravel(), minlength=256)
    if np.convolve(counts, np.ones(LEVELS, np.int64)).max() >= EVEN * film.size:
        raise ReadError(
            f"{name}: {EVEN:.0%} of its pixels or more are of one grey: a picture without contrast, no film"
        )
