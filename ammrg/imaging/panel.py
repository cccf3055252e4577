"""A case on one page: the film, its strongest maps, the report, and the patterns it was written with."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ammrg.maps import shows_place
from ammrg.notice import NOTICE
from ammrg.thresholds import is_predicted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

PRESENT = "#b5382a"
BLOCK: dict[str, Any] = {"va": "top", "ha": "left", "fontsize": 9, "linespacing": 1.3}
"""The style of a block of text."""


class CasePage(NamedTuple):
    """The content of one page."""

    film: NDArray[np.uint8]
    """8-bit grey ``[h w]``."""
    maps: Mapping[str, NDArray[np.float32]]
    """Finding -> activation map ``[gh gw]`` >= 0, strongest finding first."""
    probabilities: Mapping[str, float]
    """Finding -> probability, all 14."""
    thresholds: Mapping[str, float]
    """Finding -> the probability above which it counts as present."""
    report: str
    reference: str | None
    retrieved: Sequence[str]
    """One line for each stored pattern that was retrieved for the report, strongest first."""
    title: str
    notes: Sequence[str] = ()
    """Remarks about the model and this film, one line each; those that start with WARNING are drawn in red."""
    cell_shift: float = 0.0
    """Distance from the middle of a map's cell to the point that its token is centred on, right and down, in cells."""
    warnings: Sequence[str] = ()
    """Where the report contradicts the findings, one sentence each; drawn under the report as far as there is room."""


def draw_case(page: CasePage, path: Path) -> Path:
    """Draw the page as PNG and return its path (matplotlib without a window system needed)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 8), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    for column, (name, heat) in enumerate([("film", None), *list(page.maps.items())[:3]]):
        axes = figure.add_axes((0.012 + 0.247 * column, 0.515, 0.235, 0.43))
        _draw_film(axes, page.film, heat, page.cell_shift)
        axes.set_title(page.title if heat is None else f"{name}  p = {page.probabilities[name]:.2f}", fontsize=11)
    _draw_findings(figure.add_axes((0.155, 0.075, 0.165, 0.37)), page)

    blocks = [("REPORT", page.report), ("REFERENCE", page.reference)]
    text = "\n\n".join(f"{name}\n{textwrap.fill(content, 68)}" for name, content in blocks if content is not None)
    recalled = "\n".join(
        textwrap.fill(textwrap.shorten(line, 190), 58, subsequent_indent="    ") for line in page.retrieved
    )
    for left, content in ((0.70, f"RECALLED (association)\n{recalled}"), (0.34, text)):
        block = figure.text(left, 0.455, content, **BLOCK)
    if page.warnings:
        _draw_warnings(figure, page, below=_bottom(figure, block))
    figure.text(0.5, 0.012, NOTICE, ha="center", fontsize=9, color=PRESENT)
    for line, note in enumerate(reversed(page.notes)):
        colour = PRESENT if note.startswith("WARNING") else "black"
        figure.text(0.5, 0.034 + 0.02 * line, note, ha="center", fontsize=8, color=colour)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path


def _draw_warnings(figure: Figure, page: CasePage, below: float) -> None:
    """Draw as many warnings as fit under this height and above the notes, and the number of the others."""
    lowest = 0.045 + 0.02 * len(page.notes)
    for count in range(len(page.warnings), 0, -1):
        lines = [textwrap.fill(warning, 68) for warning in page.warnings[:count]]
        if count < len(page.warnings):
            lines.append(f"and {len(page.warnings) - count} more")
        block = figure.text(0.34, below - 0.02, "\n".join(lines), color=PRESENT, **BLOCK)
        if _bottom(figure, block) >= lowest:
            return
        block.remove()


def _bottom(figure: Figure, block: Text) -> float:
    """The height of the lower edge of a block of text, as a share of the figure."""
    return float(block.get_window_extent().y0 / figure.bbox.height)


def _draw_film(axes: Axes, film: NDArray[np.uint8], heat: NDArray[np.float32] | None, shift: float) -> None:
    """Draw the film and, where the map shows a place, its map (scaled to its maximum) with a cross at its peak."""
    height, width = film.shape
    whole = (0, width, height, 0)
    axes.imshow(film, cmap="gray", vmin=0, vmax=255, extent=whole)
    axes.set_axis_off()
    if heat is None or not shows_place(torch.from_numpy(heat)):
        return
    scaled = heat / max(float(heat.max()), 1e-12)
    right, down = shift * width / heat.shape[1], shift * height / heat.shape[0]
    moved = (right, width + right, height + down, down)
    axes.imshow(scaled, cmap="inferno", alpha=scaled * 0.55, extent=moved, interpolation="bilinear", vmin=0, vmax=1)
    axes.set(xlim=whole[:2], ylim=whole[2:])
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    x, y = (column + 0.5) / heat.shape[1] * width + right, (row + 0.5) / heat.shape[0] * height + down
    axes.plot(x, y, "+", color="cyan", ms=12)


def _draw_findings(axes: Axes, page: CasePage) -> None:
    """Draw one bar for each finding, with its threshold as a tick; the bar is red where the threshold is passed."""
    names = list(page.probabilities)[::-1]
    values = [page.probabilities[name] for name in names]
    limits = [page.thresholds[name] for name in names]
    passed = map(is_predicted, values, limits)
    colours = [PRESENT if is_present else "#b9c2cc" for is_present in passed]
    axes.barh(names, values, color=colours)
    axes.scatter(limits, names, marker="|", color="black", s=50, zorder=3)
    axes.set_xlim(0, 1)
    axes.tick_params(labelsize=8)
    axes.set_title("probability, | threshold (red: passed)", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
