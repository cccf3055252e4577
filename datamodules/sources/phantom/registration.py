"""Finds the lungs of a real frontal film by fitting a drawn anatomy to it: the most similar, moved and stretched."""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from datamodules.sources.phantom.anatomy import LOOSE, Anatomy
from datamodules.sources.phantom.films import draw_anatomy, expose

ANATOMIES = 96
"""Number of drawn patients that are compared with a film, each at all the positions below."""
WIDTHS = (0.9, 1.0, 1.1, 1.2)
HEIGHTS = (1.0, 1.12, 1.25, 1.4)
ACROSS = (-0.05, 0.0, 0.05)
DOWN = (-0.10, -0.06, -0.02, 0.02, 0.06)
"""Stretches about the film's middle, then shifts, as shares of the film; they cover the real films that were tried."""
DRAWN, COMPARED = 80, 40
"""Side, in pixels, at which anatomies are drawn and moved, and at which likeness is measured."""
BORDER = 4
"""Width, in compared pixels, of the border that is left out: it shows letters and areas beside the patient."""
SEED = 77


class Fit(NamedTuple):
    """A drawn anatomy, with the position at which it fits a film."""

    anatomy: int
    """Number of the anatomy, 0 .. :data:`ANATOMIES` - 1."""
    width: float
    height: float
    across: float
    down: float
    likeness: float
    """Correlation with the film, -1 .. 1; at least 0.7 for nine of ten real frontal films."""

    def lay(self, drawn: NDArray[np.generic], border: int = cv2.BORDER_CONSTANT) -> NDArray[np.generic]:
        """Move a map ``[size size]`` of the drawn film to the film that it fits.

        ``border`` is cv2's mode for pixels from outside the drawn film; the default fills them with zeros.
        """
        size = drawn.shape[0]
        # A pixel's centre is at i + 1/2, but cv2 counts from it, so the middle of the film is at (size - 1) / 2.
        matrix = np.array(
            [
                [self.width, 0.0, (1 - self.width) * (size - 1) / 2 + self.across * size],
                [0.0, self.height, (1 - self.height) * (size - 1) / 2 + self.down * size],
            ]
        )
        return np.asarray(cv2.warpAffine(drawn, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=border))


def fit_anatomy(film: NDArray[np.uint8]) -> Fit:
    """The best fit of all drawn anatomies at all positions, by correlation of equalised, shrunken films.

    Args:
        film: uint8 ``[h w]``, a frontal film, bright = dense.
    """
    places, drawn = _templates()
    likeness = drawn @ _compared(cv2.resize(film, (DRAWN, DRAWN), interpolation=cv2.INTER_AREA))
    best = int(likeness.argmax())
    return places[best]._replace(likeness=float(likeness[best]))


def fitted_anatomy(fit: Fit, size: int) -> Anatomy:
    """Draw the anatomy of a fit again, not yet moved to the film."""
    return draw_anatomy("frontal", (SEED, fit.anatomy), size, LOOSE)


@lru_cache(maxsize=1)
def _templates() -> tuple[list[Fit], NDArray[np.float32]]:
    """Every anatomy at every position, and the same as rows to multiply a film by; takes seconds, once a process."""
    places: list[Fit] = []
    rows: list[NDArray[np.float32]] = []
    for anatomy in range(ANATOMIES):
        film = expose(draw_anatomy("frontal", (SEED, anatomy), DRAWN, LOOSE).attenuation, (SEED, anatomy))
        for place in itertools.product(WIDTHS, HEIGHTS, ACROSS, DOWN):
            places.append(Fit(anatomy, *place, 0.0))
            rows.append(_compared(places[-1].lay(film, cv2.BORDER_REPLICATE).astype(np.uint8)))
    return places, np.stack(rows)


def _compared(film: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A film ``[80 80]`` as a vector of mean 0 and length 1, so that a product is a correlation."""
    equal = cv2.resize(cv2.equalizeHist(film), (COMPARED, COMPARED), interpolation=cv2.INTER_AREA)
    inner = equal[BORDER:-BORDER, BORDER:-BORDER].astype(np.float32).ravel()
    inner -= inner.mean()
    return np.asarray(inner / max(float(np.linalg.norm(inner)), 1e-6), np.float32)
