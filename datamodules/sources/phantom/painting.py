"""Drawn signs painted on real frontal films, where their lungs are, with labels and boxes that are known; large hearts
and wide mediastina are the film itself, moved (:mod:`datamodules.sources.phantom.widening`).

What a film shows is a pointwise function of attenuation (:func:`datamodules.sources.phantom.films.expose`): grey is a
logistic function of it. So a sign is added to a real film where attenuation adds: to the log odds of its grey.
Painted anomalies as a task to learn from unlabelled films: Tan et al. 2020, "Detecting outliers with foreign patch
interpolation"; Schlueter et al. 2022, "Natural synthetic anomalies", both on chest films among others.
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
"""Chance of 0, 1, 2 and 3 signs."""
SMALLEST = -0.6
"""Size of the smallest sign, below the phantom's 0: real ones are often as small as a granuloma."""
FAINTEST, STRONGEST = 0.15, 0.8
"""Of the phantom's attenuation: there a sign shall be seen at a glance."""
UNLIKE = 0.5
"""A film that is less like every drawn anatomy than this stays as it is: turned, cut, or not frontal."""
SLOPE = 4.2
"""Log odds of grey per attenuation, the middle of what :func:`expose` draws."""
BLACK, WHITE = 0.012, 0.988
"""Grey that counts as attenuation that can still be told."""
LEAST = 0.002
"""Attenuation below this changes no grey level."""
VISIBLE = 8
"""Grey levels by which a film must differ somewhere in a sign's box, or the sign counts as not there: what is painted
on white, over the abdomen or a breast, is lost in it."""


class Plan(NamedTuple):
    """What is done to a film."""

    signs: tuple[tuple[Sign, float], ...]
    """Drawn signs, a finding at most once, and how strong each is painted."""
    moves: tuple[Move, ...]
    """Hearts and mediastina made wider, or moved to a side."""


def plan_painting(seed: Sequence[int]) -> Plan:
    """Which signs a film gets; the same for the same seed."""
    rng = np.random.default_rng(seed)
    count = int(rng.choice(len(SIGNS_ON_A_FILM), p=SIGNS_ON_A_FILM))
    chosen = rng.choice(len(PAINTED), count, replace=False)
    signs = [sample_sign(PAINTED[number], False, rng, SMALLEST) for number in chosen]
    strong = [float(rng.uniform(FAINTEST, STRONGEST)) for _ in signs]
    drawn = tuple(pair for pair in zip(signs, strong, strict=True) if pair[0].finding not in BORDERS)
    return Plan(drawn, plan_moves(signs, np.random.default_rng([*seed, 4])))


def paint(film: NDArray[np.uint8], fit: Fit, plan: Plan, seed: Sequence[int]) -> Film:
    """A film moved as planned, then with signs on it; what neither reaches is as it was.

    Args:
        film: uint8 ``[size size]``, a whole frontal film squashed to a square, bright = dense.
        fit: where its anatomy lies.
        plan: as from :func:`plan_painting`.
        seed: of the drawing.

    Returns:
        The painted film, and the boxes of what can be seen of the signs.
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
    # Only the change is laid on the film: black and white beyond what can be told stay as they are.
    lift = 255.0 * (1.0 / (1.0 + np.exp(-odds)) - grey)
    painted = np.clip(moved + lift + 0.5, 0, 255).astype(np.uint8)
    return Film(painted, (*visible(film, moved, widened), *visible(moved, painted, boxes)))


def visible(
    before: NDArray[np.uint8], after: NDArray[np.uint8], boxes: Sequence[tuple[str, PixelBox]]
) -> list[tuple[str, PixelBox]]:
    """Those of the boxes in which a film differs by :data:`VISIBLE` grey levels or more somewhere."""
    differs = np.abs(after.astype(np.int16) - before)
    return [(name, box) for name, box in boxes if differs[slices(box)].max() >= VISIBLE]


def slices(box: PixelBox) -> tuple[slice, slice]:
    """Rows and columns of a box."""
    return slice(box[1], box[3]), slice(box[0], box[2])
