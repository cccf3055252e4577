"""A case on one page: the film, its strongest maps, the report, and what was recalled."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NOTICE = "Research use only. Not for diagnosis."


class CasePage(NamedTuple):
    """What one page shows."""

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
    recalled: Sequence[str]
    """One line a memory leaned on, strongest first."""
    title: str


def draw_case(page: CasePage, path: Path) -> Path:
    """Draw the page as PNG and return its path (matplotlib without a window system)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = list(page.maps.items())[:3]
    figure = Figure(figsize=(14, 8.2), dpi=100, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 4, height_ratios=(1.15, 1))
    height, width = page.film.shape
    for column, (name, heat) in enumerate([("film", None), *shown]):
        axes = figure.add_subplot(grid[0, column])
        axes.imshow(page.film, cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0))
        axes.set_axis_off()
        if heat is None:
            axes.set_title(page.title, fontsize=11)
            continue
        top = float(heat.max())
        scaled = heat / top if top > 0 else heat
        axes.imshow(
            scaled,
            cmap="inferno",
            alpha=np.clip(scaled, 0, 1) * 0.55,
            extent=(0, width, height, 0),
            interpolation="bilinear",
            vmin=0,
            vmax=1,
        )
        row, col = np.unravel_index(int(heat.argmax()), heat.shape)
        axes.plot((col + 0.5) / heat.shape[1] * width, (row + 0.5) / heat.shape[0] * height, "+", color="cyan", ms=12)
        axes.set_title(f"{name}  p = {page.probabilities[name]:.2f}", fontsize=11)

    axes = figure.add_subplot(grid[1, 0])
    names = list(page.probabilities)[::-1]
    present = [page.probabilities[name] >= page.thresholds[name] for name in names]
    axes.barh(names, [page.probabilities[name] for name in names], color=["#b5382a" if p else "#b9c2cc" for p in present])
    axes.scatter([page.thresholds[name] for name in names], names, marker="|", color="black", s=40, zorder=3)
    axes.set_xlim(0, 1)
    axes.tick_params(labelsize=8)
    axes.set_title("findings (red: above its threshold, |)", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)

    blocks = [("report", page.report)]
    if page.reference is not None:
        blocks.append(("reference", page.reference))
    text = "\n\n".join(f"{name.upper()}\n{textwrap.fill(content, 62)}" for name, content in blocks)
    for cell, content in (
        (grid[1, 1:3], text),
        (grid[1, 3], "RECALLED\n" + "\n".join(textwrap.fill(line, 46, subsequent_indent="   ") for line in page.recalled)),
    ):
        axes = figure.add_subplot(cell)
        axes.set_axis_off()
        axes.text(0, 1, content, va="top", ha="left", fontsize=9, family="DejaVu Sans", wrap=True)
    figure.supxlabel(NOTICE, fontsize=9, color="#b5382a")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path
