"""The maps of a case as one picture: each on the film that decided its finding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ammrg.imaging.panel import MAPS, CasePage, draw_film
from ammrg.imaging.text_width import DPI, wrapped
from ammrg.thresholds import figures, is_predicted

SIDE = 512
"""Width and height of each film in the picture, in pixels."""
MARGIN = 64
"""Height of the text above and below the films, in pixels."""
TEXT = 10
"""Size of the text, in points."""


def drawn_findings(page: CasePage) -> list[str]:
    """Return the findings whose maps are drawn, strongest first."""
    return list(page.maps)[:MAPS]


def map_picture(page: CasePage, below: str) -> NDArray[np.uint8]:
    """Draw the maps of the strongest findings side by side, with their names and probabilities above.

    Args:
        page: with one map or more.
        below: a text under the films, broken into lines that fit.

    Returns:
        uint8 RGB ``[h w 3]``.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = drawn_findings(page)
    width, height = SIDE * len(names), SIDE + 2 * MARGIN
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="black")
    canvas = FigureCanvasAgg(figure)
    for column, name in enumerate(names):
        place = page.map_films.get(name, 0)
        axes = figure.add_axes((column / len(names), MARGIN / height, 1 / len(names), SIDE / height))
        draw_film(axes, page.films[place], page.maps[name], page.cell_shift)
        probability, threshold = page.probabilities[name], page.thresholds[name]
        shown = figures(probability, threshold)
        state = "present" if is_predicted(probability, threshold) else "not above its threshold"
        film = f", film {place + 1}" if len(page.films) > 1 else ""
        figure.text(
            (column + 0.5) / len(names),
            1 - MARGIN / 2 / height,
            f"{name}: {state}{film}\nprobability {shown.probability}, threshold {shown.threshold}",
            ha="center",
            va="center",
            color="white",
            fontsize=TEXT,
        )
    lines = "\n".join(wrapped(below, width - MARGIN / 2, TEXT))
    figure.text(0.5, MARGIN / 2 / height, lines, ha="center", va="center", color="#ff8a7a", fontsize=TEXT)
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])
