"""Where the lungs of a real frontal film lie, as the drawn anatomy that looks most like it, moved and stretched."""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from datamodules.sources.phantom.anatomy import Anatomy
from datamodules.sources.phantom.films import draw_anatomy, expose

ANATOMIES = 96
"""So many drawn patients are compared with a film, each in all the places below."""
WIDTHS = (0.9, 1.0, 1.1, 1.2)
HEIGHTS = (1.0, 1.12, 1.25, 1.4)
ACROSS = (-0.05, 0.0, 0.05)
DOWN = (-0.10, -0.06, -0.02, 0.02, 0.06)
"""Stretches about the film's middle, then shifts, as shares of the film: what real films were found to need."""
DRAWN, COMPARED = 80, 40
"""Pixels a side in which anatomies are drawn and moved, and in which likeness is measured."""
BORDER = 4
"""Outermost pixels of these are not compared: letters, and what lies beside the patient."""
SEED = 77


class Fit(NamedTuple):
    """A drawn anatomy laid on a film."""

    anatomy: int
    """0 .. :data:`ANATOMIES` - 1."""
    width: float
    height: float
    across: float
    down: float
    likeness: float
    """Correlation with the film, -1 .. 1; 0.7 and more for nine of ten real frontal films."""

    def lay(self, drawn: NDArray[np.generic], border: int = cv2.BORDER_CONSTANT) -> NDArray[np.generic]:
        """A map over the drawn film ``[size size]``, over the film it is laid on. ``border`` is cv2's way to fill what
        lies outside the drawn film: with zeros."""
        size = drawn.shape[0]
        # A pixel's middle lies at i + 1/2: stretches are about size / 2, in a system that begins half a pixel later.
        matrix = np.array(
            [
                [self.width, 0.0, (1 - self.width) * (size - 1) / 2 + self.across * size],
                [0.0, self.height, (1 - self.height) * (size - 1) / 2 + self.down * size],
            ]
        )
        return np.asarray(cv2.warpAffine(drawn, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=border))


def fit_anatomy(film: NDArray[np.uint8]) -> Fit:
    """The most alike of all drawn anatomies in all their places, by correlation of the equalised, shrunken films.

    Args:
        film: uint8 ``[h w]``, a frontal film, bright = dense.
    """
    places, drawn = _templates()
    likeness = drawn @ _compared(cv2.resize(film, (DRAWN, DRAWN), interpolation=cv2.INTER_AREA))
    best = int(likeness.argmax())
    return places[best]._replace(likeness=float(likeness[best]))


def fitted_anatomy(fit: Fit, size: int) -> Anatomy:
    """The anatomy of a fit, drawn anew; not moved yet."""
    return draw_anatomy("frontal", (SEED, fit.anatomy), size)


@lru_cache(maxsize=1)
def _templates() -> tuple[list[Fit], NDArray[np.float32]]:
    """Every anatomy in every place, and the same as rows to multiply a film with; some seconds, once a process."""
    places: list[Fit] = []
    rows: list[NDArray[np.float32]] = []
    for anatomy in range(ANATOMIES):
        film = expose(draw_anatomy("frontal", (SEED, anatomy), DRAWN).attenuation, (SEED, anatomy))
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
