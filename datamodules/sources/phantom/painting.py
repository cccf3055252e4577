"""Paints drawn signs on real frontal films, at the right places of their lungs, with known labels and boxes.

Large hearts and wide mediastina are made by moving the film itself (:mod:`datamodules.sources.phantom.widening`).

The grey of a film is a logistic function of attenuation, pixel by pixel
(:func:`datamodules.sources.phantom.films.expose`). Attenuation adds up, so a sign is added to the log odds of a real
film's grey. For painted anomalies as a training task see Tan et al. 2020, "Detecting outliers with foreign patch
interpolation", and Schlueter et al. 2022, "Natural synthetic anomalies"; both include chest films.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ammrg.findings import ABNORMAL, FINDINGS
from datamodules.sources.phantom.films import Film, draw_signs
from datamodules.sources.phantom.plan import sample_sign
from datamodules.sources.phantom.registration import Fit, fitted_anatomy
from datamodules.sources.phantom.signs import PixelBox, Sign, bounding_box
from datamodules.sources.phantom.widening import BORDERS, Move, move, plan_moves

PAINTED = tuple(FINDINGS[i] for i in ABNORMAL)
SIGNS_ON_A_FILM = (0.15, 0.40, 0.30, 0.15)
"""Probabilities of 0, 1, 2 and 3 signs."""
SMALLEST = -0.6
"""Size of the smallest sign, below the phantom's 0, since real signs are often as small as a granuloma."""
FAINTEST, STRONGEST = 0.15, 0.8
"""Range of a sign's attenuation as a share of the phantom's, where signs are obvious."""
UNLIKE = 0.5
"""Least likeness to a drawn anatomy; a film below it (turned, cut, or not frontal) is not painted."""
SLOPE = 4.2
"""Log odds of grey per unit of attenuation: the mean of the values that
:func:`datamodules.sources.phantom.films.expose` draws."""
BLACK, WHITE = 0.012, 0.988
"""Range of grey, in [0, 1], from which attenuation can still be computed."""
LEAST = 0.002
"""Least attenuation that changes a grey level."""
VISIBLE = 8
"""Least change, in grey levels of 255, somewhere in a sign's box; a sign with less does not count as present.

A sign on a white area, such as the abdomen or a breast, cannot be seen.
"""


class Plan(NamedTuple):
    """The changes to make to a film."""

    signs: tuple[tuple[Sign, float], ...]
    """(sign, strength) of each drawn sign; each finding occurs at most once."""
    moves: tuple[Move, ...]
    """Movements that make the heart or mediastinum wider, or shift it to a side."""


def plan_painting(seed: Sequence[int]) -> Plan:
    """Choose the changes to a film; the same seed gives the same plan."""
    rng = np.random.default_rng(seed)
    count = int(rng.choice(len(SIGNS_ON_A_FILM), p=SIGNS_ON_A_FILM))
    chosen = rng.choice(len(PAINTED), count, replace=False)
    signs = [sample_sign(PAINTED[number], False, rng, SMALLEST) for number in chosen]
    strong = [float(rng.uniform(FAINTEST, STRONGEST)) for _ in signs]
    drawn = tuple(pair for pair in zip(signs, strong, strict=True) if pair[0].finding not in BORDERS)
    return Plan(drawn, plan_moves(signs, np.random.default_rng([*seed, 4])))


def paint(film: NDArray[np.uint8], fit: Fit, plan: Plan, seed: Sequence[int]) -> Film:
    """Move a film as planned, then draw the signs on it; all other pixels stay unchanged.

    Args:
        film: uint8 ``[size size]``, a whole frontal film resized to a square, bright = dense.
        fit: the drawn anatomy that fits the film.
        plan: a plan from :func:`plan_painting`.
        seed: seed of the drawing.

    Returns:
        The painted film, with the boxes of the visible signs.
    """
    size = film.shape[0]
    anatomy = fitted_anatomy(fit, size)
    moved, widened = move(film, fit, anatomy, plan.moves)
    strength = {sign.finding: factor for sign, factor in plan.signs}
    added = np.zeros((size, size), np.float32)
    boxes: list[tuple[str, PixelBox]] = []
    for sign, drawn in draw_signs(anatomy, [sign for sign, _ in plan.signs], seed):
        for one in drawn:
            change = fit.lay(strength[sign.finding] * one.change.astype(np.float32))
            seen = np.abs(change) > LEAST
            if box := bounding_box(seen):
                added += np.where(seen, change, 0.0)
                boxes.append((sign.finding, box))
    grey = np.clip(moved.astype(np.float32) / 255.0, BLACK, WHITE)
    odds = np.log(grey / (1.0 - grey)) + np.float32(SLOPE) * added
    # Only the change is added to the film, so that pixels too black or white to compute with stay as they are.
    lift = 255.0 * (1.0 / (1.0 + np.exp(-odds)) - grey)
    painted = np.clip(moved + lift + 0.5, 0, 255).astype(np.uint8)
    return Film(painted, (*visible(film, moved, widened), *visible(moved, painted, boxes)))


def visible(
    before: NDArray[np.uint8], after: NDArray[np.uint8], boxes: Sequence[tuple[str, PixelBox]]
) -> list[tuple[str, PixelBox]]:
    """The boxes in which some pixel changed by at least :data:`VISIBLE` grey levels."""
    differs = np.abs(after.astype(np.int16) - before)
    return [(name, box) for name, box in boxes if differs[slices(box)].max() >= VISIBLE]


def slices(box: PixelBox) -> tuple[slice, slice]:
    """Rows and columns of a box."""
    return slice(box[1], box[3]), slice(box[0], box[2])
