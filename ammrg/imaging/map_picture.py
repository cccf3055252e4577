"""The maps of a case as one picture: each on the film that decided its finding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ammrg.imaging.panel import MAPS, CasePage, draw_film
from ammrg.imaging.text_width import DPI, wrapped
from ammrg.thresholds import figures, is_predicted

SIDE = 512
"""Width and height of each film in the picture, in pixels."""
MARGIN = 64
"""Height of the text above the films, and least height of that below, in pixels."""
LINE = 18
"""Height of a line, in pixels."""
TEXT = 10
"""Size of the text, in points."""


def drawn_findings(page: CasePage) -> list[str]:
    """Return the findings whose maps are drawn, strongest first."""
    return list(page.maps)[:MAPS]


def map_picture(page: CasePage, below: Sequence[str]) -> NDArray[np.uint8]:
    """Draw the maps of the strongest findings side by side, with their names and probabilities above.

    Args:
        page: with one map or more.
        below: sentences under the films, each broken into lines that fit.

    Returns:
        uint8 RGB ``[h w 3]``.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = drawn_findings(page)
    width = SIDE * len(names)
    lines = [line for sentence in below for line in wrapped(sentence, width - MARGIN / 2, TEXT)]
    foot = max(MARGIN, LINE * (len(lines) + 1))
    height = MARGIN + SIDE + foot
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="black")
    canvas = FigureCanvasAgg(figure)
    for column, name in enumerate(names):
        film = page.films[page.map_films.get(name, 0)]
        axes = figure.add_axes((column / len(names), foot / height, 1 / len(names), SIDE / height), anchor="N")
        draw_film(axes, film, page.maps[name], page.cell_shift)
        probability, threshold = page.probabilities[name], page.thresholds[name]
        shown = figures(probability, threshold)
        state = "present" if is_predicted(probability, threshold) else "not above its threshold"
        where = f", {film.called}" if film.number else ""
        figure.text(
            (column + 0.5) / len(names),
            1 - MARGIN / 2 / height,
            f"{name}: {state}{where}\nprobability {shown.probability}, threshold {shown.threshold}",
            ha="center",
            va="center",
            color="white",
            fontsize=TEXT,
        )
    words = "\n".join(lines)
    figure.text(
        0.5, foot / 2 / height, words, ha="center", va="center", color="#ff8a7a", fontsize=TEXT, parse_math=False
    )
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])
