"""A case on one page: its films, the strongest maps, the report, and the patterns it was written with."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ammrg.atomic import partial_file
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
MARK: dict[str, Any] = {"ha": "center", "va": "top", "bbox": {"facecolor": "black", "alpha": 0.5, "pad": 1, "lw": 0}}
"""The place of a letter at the film's edge, on a dark ground."""


TILES = 6
"""Most pictures in a row."""
MAPS = 3
"""Most maps on a page."""


class PageFilm(NamedTuple):
    """A film on the page."""

    pixels: NDArray[np.uint8]
    """8-bit grey ``[h w]``."""
    name: str = ""
    """Drawn over it, for example ``frontal``."""
    sides: tuple[str, str] | None = None
    """Letters drawn at the left and the right edge, ``("R", "L")`` as usual for a frontal film; None = not known."""


class CasePage(NamedTuple):
    """The content of one page."""

    films: Sequence[PageFilm]
    """All films that the network read, one or more."""
    maps: Mapping[str, NDArray[np.float32]]
    """Finding -> activation map ``[gh gw]`` >= 0, strongest finding first."""
    probabilities: Mapping[str, float]
    """Finding -> probability, all 14."""
    thresholds: Mapping[str, float]
    """Finding -> the probability above which it counts as present."""
    report: str
    reference: str | None
    title: str
    notes: Sequence[str] = ()
    """Remarks about the model and this film, one line each; those that start with WARNING are drawn in red."""
    cell_shift: float = 0.0
    """Distance from the middle of a map's cell to the point that its token is centred on, right and down, in cells."""
    warnings: Sequence[str] = ()
    """Where the report contradicts the findings, one sentence each; drawn under the report as far as there is room."""
    reasons: Sequence[str] = ()
    """One line for each recalled case that changed the report."""
    similar: Sequence[str] = ()
    """One line for each other recalled case that is shown."""
    memory: str = ""
    """What the recalled cases mean, in a sentence."""
    map_films: Mapping[str, int] = MappingProxyType({})
    """Finding -> index of the film that its map is of; the first film where a finding is left out."""


def draw_case(page: CasePage, path: Path) -> Path:
    """Draw the page as PNG, or as PDF where the path ends in ``.pdf``, and return its path.

    No window system is needed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 8), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    _draw_films(figure, page)
    _draw_findings(figure.add_axes((0.155, 0.075, 0.165, 0.37)), page)

    blocks = [("REPORT", page.report), ("REFERENCE", page.reference)]
    text = "\n\n".join(f"{name}\n{textwrap.fill(content, 68)}" for name, content in blocks if content is not None)
    for left, content in ((0.70, _recalled(page)), (0.34, text)):
        block = figure.text(left, 0.455, content, **BLOCK)
    if page.warnings:
        _draw_warnings(figure, page, below=_bottom(figure, block))
    figure.text(0.5, 0.012, NOTICE, ha="center", fontsize=9, color=PRESENT)
    for line, note in enumerate(reversed(page.notes)):
        colour = PRESENT if note.startswith("WARNING") else "black"
        figure.text(0.5, 0.034 + 0.02 * line, note, ha="center", fontsize=8, color=colour)
    path.parent.mkdir(parents=True, exist_ok=True)
    with partial_file(path) as partial:
        figure.savefig(partial, format="pdf" if path.suffix == ".pdf" else "png")
    return path


def _draw_films(figure: Figure, page: CasePage) -> None:
    """Draw all films, then the strongest maps, each on its film, in rows of equal height."""
    several = len(page.films) > 1
    tiles: list[tuple[str, PageFilm, NDArray[np.float32] | None]] = []
    for number, film in enumerate(page.films, 1):
        own = ", ".join(part for part in (f"film {number}" if several else "", film.name) if part)
        tiles.append(("\n".join(part for part in (page.title if number == 1 else "", own) if part), film, None))
    for name, found in list(page.maps.items())[:MAPS]:
        place = page.map_films.get(name, 0)
        where = f"\nfilm {place + 1}" if several else ""
        tiles.append((f"{name}  p = {page.probabilities[name]:.2f}{where}", page.films[place], found))
    rows = -(-len(tiles) // TILES)
    columns = max(MAPS + 1, -(-len(tiles) // rows))
    step, height = 0.988 / columns, 0.485 / rows
    for place, (title, film, heat) in enumerate(tiles):
        row, column = divmod(place, columns)
        axes = figure.add_axes((0.012 + step * column, 0.515 + height * (rows - 1 - row), step - 0.012, height - 0.055))
        draw_film(axes, film, heat, page.cell_shift)
        axes.set_title(title, fontsize=11 if columns == MAPS + 1 and rows == 1 else 8)


def _recalled(page: CasePage) -> str:
    """The text about the recalled cases."""
    blocks = [textwrap.fill(page.memory, 58)]
    for name, listed in (("REASONS", page.reasons), ("SIMILAR CASES", page.similar)):
        lines = (textwrap.fill(textwrap.shorten(line, 150), 58, subsequent_indent="    ") for line in listed)
        blocks += ["\n".join((f"{name} (association)", *lines))] if listed else []
    return "\n\n".join(blocks)


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


def draw_film(axes: Axes, film: PageFilm, heat: NDArray[np.float32] | None, shift: float) -> None:
    """Draw the film and, where the map shows a place, its map (scaled to its maximum) with a cross at its peak.

    Args:
        axes: to draw in.
        film: the film.
        heat: activation map ``[gh gw]`` >= 0; None: the film alone.
        shift: see :attr:`CasePage.cell_shift`.
    """
    height, width = film.pixels.shape
    whole = (0, width, height, 0)
    axes.imshow(film.pixels, cmap="gray", vmin=0, vmax=255, extent=whole)
    axes.set_axis_off()
    for letter, x in zip(film.sides or (), (0.04, 0.96), strict=False):
        axes.text(x, 0.95, letter, color="white", weight="bold", fontsize=9, transform=axes.transAxes, **MARK)
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
