"""A picture of a memory: its patterns as points in the plane, coloured by finding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def draw_pattern_map(
    points: NDArray[np.float32],
    names: Sequence[str],
    queries: Sequence[bool],
    shares: Sequence[float],
    title: str,
    path: Path,
) -> Path:
    """Draw the points as PNG and return its path (matplotlib without a window system needed).

    Args:
        points: ``[n 2]``.
        names: the finding of each pattern; equal names share a colour, in the order of ``sorted``.
        queries: True for a disease query, which is drawn as a cross in its finding's colour.
        shares: the share of the variance along each of the two axes, in [0, 1].
        title: of the picture.
        path: of the PNG.
    """
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7.5), dpi=100, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    kinds = np.asarray(names)
    crossed = np.asarray(queries, bool)
    for place, name in enumerate(sorted(set(names))):
        colour = colormaps["tab20"](place % 20)
        mine = (kinds == name) & ~crossed
        axes.scatter(
            points[mine, 0],
            points[mine, 1],
            s=16,
            color=colour,
            alpha=0.75,
            linewidths=0,
            label=f"{name} ({mine.sum()})" if mine.any() else None,
        )
        for x, y in points[(kinds == name) & crossed]:
            axes.plot(x, y, "X", color=colour, ms=10, mec="black", mew=0.8)
    if crossed.any():
        axes.plot([], [], "X", color="white", ms=10, mec="black", mew=0.8, label=f"disease query ({crossed.sum()})")
    axes.set_xlabel(f"first principal component ({shares[0]:.0%} of the variance)")
    axes.set_ylabel(f"second principal component ({shares[1]:.0%} of the variance)")
    axes.set_title(title, fontsize=11)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path
