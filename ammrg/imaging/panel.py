"""A case on one page: films with the strongest maps, the report, and beside it the findings and what was recalled."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ammrg.atomic import ORDINARY, partial_file
from ammrg.findings import ABNORMAL, FINDINGS, NO_FINDING
from ammrg.imaging.text_width import DPI, fitting, text_width, wrapped
from ammrg.maps import shows_place
from ammrg.notice import NOTICE
from ammrg.thresholds import figures, is_predicted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

PRESENT, NORMAL, INK, SOFT, ABSENT = "#a92b1d", "#14637f", "#17212b", "#566573", "#b9c2cc"
BLOCK: dict[str, Any] = {"va": "top", "ha": "left", "color": INK, "linespacing": 1.3, "parse_math": False}
"""The style of a block of text."""
MARK: dict[str, Any] = {"ha": "center", "va": "top", "bbox": {"facecolor": "black", "alpha": 0.5, "pad": 1, "lw": 0}}
"""The place of a letter at the film's edge, on a dark ground."""
WIDTH, HEIGHT = 14.0, 8.0
"""Of the page, in inches."""
ACROSS = WIDTH * DPI
"""Of the page, in pixels."""
LEFT, RIGHT = 0.012, 0.988
"""Edges of the page."""
FILMS = (LEFT, 0.43, 0.05, 0.9)
"""Left, right, lower and upper edge of the place for films, as shares of the page."""
GAP, RIGHT_AT, TOP = 0.025, 0.72, 0.885
"""Between films and report; the left edge of the column at its right; the upper edge of both."""
TITLE = 0.32
"""Height of the title above a film, in inches."""
SIZES = (10.5, 9.5, 9, 8.5, 8, 7.5, 7, 6.5, 6, 5.5)
"""Sizes of a block of text, in points: the first at which it fits is taken."""
LARGE, SMALL = 9.5, 7
"""Sizes of the title above a film, in points: where it is wider than the film, it is small and broken into lines."""
TITLE_SIZE, NOTE_SIZE = 14, 8
"""Of the page's title and of the notes at its foot, in points."""
CUT = "... (cut to fit on this page)"
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
    number: int = 0
    """Of the film in its study, from 1; 0 = its only one."""

    aspect: float | None = None
    """Width of the film over its height, where the pixels are squeezed to another shape; None: that of the pixels."""

    @property
    def called(self) -> str:
        """``film 2``, or ``film`` where it is the only one."""
        return f"film {self.number}" if self.number else "film"


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
    """Where model, film or report may mislead, a sentence each; drawn under the report as far as there is room."""
    reasons: Sequence[str] = ()
    """One line for each recalled case that bears on the report."""
    similar: Sequence[str] = ()
    """One line for each other recalled case that is shown."""
    memory: str = ""
    """What the recalled cases mean, in a sentence."""
    map_films: Mapping[str, int] = MappingProxyType({})
    """Finding -> index of the film that its map is of; the first film where a finding is left out."""


def draw_case(page: CasePage, path: Path, mode: int = ORDINARY) -> Path:
    """Draw the page as PNG, or as PDF where the path ends in ``.pdf``, and return its path.

    No window system is needed.

    Args:
        page: its content.
        path: of the picture.
        mode: permissions of its file before the umask.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    lowest = _draw_notes(figure, page.notes)
    _draw_title(figure, page.title)
    _draw_found(figure, page)
    left = _draw_films(figure, page, lowest) + GAP
    blocks = [("REPORT", page.report), ("REFERENCE", page.reference)]
    text = [(name, content) for name, content in blocks if content is not None]
    bottom = _draw_blocks(figure, text, (left, RIGHT_AT - GAP), TOP, lowest)
    if page.warnings:
        _draw_warnings(figure, page, (left, RIGHT_AT - GAP), bottom, lowest)
    _draw_findings(figure.add_axes((RIGHT_AT + 0.118, 0.545, RIGHT - RIGHT_AT - 0.118, TOP - 0.575)), page)
    _draw_blocks(figure, _recalled(page), (RIGHT_AT, RIGHT), 0.5, lowest, SIZES[2:])
    path.parent.mkdir(parents=True, exist_ok=True)
    with partial_file(path, mode) as partial:
        figure.savefig(partial, format="pdf" if path.suffix == ".pdf" else "png")
    return path


def _draw_title(figure: Figure, title: str) -> None:
    """Draw the notice at the right, and the title beside it, cut where it ends."""
    notice = figure.text(RIGHT, 0.965, NOTICE, ha="right", va="center", weight="bold", fontsize=11, color=PRESENT)
    edge = float(notice.get_window_extent().x0 / figure.bbox.width) - GAP
    length = fitting(title, (edge - LEFT) * ACROSS, TITLE_SIZE, "bold")
    words = title if length == len(title) else f"{title[: length - 3]}..."
    how: dict[str, Any] = {"weight": "bold", "fontsize": TITLE_SIZE, "color": INK, "parse_math": False}
    figure.text(LEFT, 0.965, words, va="center", **how)


def _draw_notes(figure: Figure, notes: Sequence[str]) -> float:
    """Draw the notes at the foot of the page, and return the height above which there is room."""
    lines = [
        (line, note.startswith("WARNING"))
        for note in notes
        for line in wrapped(note, (RIGHT - LEFT) * ACROSS, NOTE_SIZE)
    ]
    for row, (line, warns) in enumerate(lines, 1):
        how: dict[str, Any] = {"fontsize": NOTE_SIZE, "color": PRESENT if warns else SOFT, "parse_math": False}
        figure.text(LEFT, 0.03 + 0.022 * (len(lines) - row), line, va="center", **how)
    return 0.04 + 0.022 * len(lines)


def _draw_found(figure: Figure, page: CasePage) -> None:
    """Draw the names of the findings above their thresholds, strongest first, under the title."""
    strongest = sorted((FINDINGS[i] for i in ABNORMAL), key=lambda name: -page.probabilities[name])
    found = [name for name in strongest if is_predicted(page.probabilities[name], page.thresholds[name])]
    words = f"Found: {', '.join(found)}" if found else "No abnormal finding is above its threshold"
    size = next((size for size in (11, 10, 9) if text_width(words, size) <= (RIGHT - LEFT) * ACROSS), 8)
    figure.text(LEFT, 0.928, words, va="center", fontsize=size, color=PRESENT if found else SOFT)


def _draw_films(figure: Figure, page: CasePage, lowest: float) -> float:
    """Draw all films, then the strongest maps, each on its film, as large as their number allows.

    Returns:
        Their right edge, as a share of the page.
    """
    tiles: list[tuple[str, PageFilm, NDArray[np.float32] | None]] = []
    for film in page.films:
        tiles.append((", ".join(part for part in (film.called, film.name) if part), film, None))
    for name, found in list(page.maps.items())[:MAPS]:
        film = page.films[page.map_films.get(name, 0)]
        where = f", {film.called}" if film.number else ""
        value, threshold = page.probabilities[name], page.thresholds[name]
        state = "" if is_predicted(value, threshold) else ", not found"
        tiles.append((f"{name} p = {figures(value, threshold).probability}{state}{where}", film, found))
    left, right, _, top = FILMS
    columns, side = _tiling(len(tiles), (right - left) * WIDTH, (top - lowest) * HEIGHT)
    for place, (title, film, heat) in enumerate(tiles):
        row, column = divmod(place, columns)
        x, y = left * WIDTH + column * (side + 0.1), top * HEIGHT - (row + 1) * (side + TITLE)
        axes = figure.add_axes((x / WIDTH, y / HEIGHT, side / WIDTH, side / HEIGHT), anchor="NW")
        draw_film(axes, film, heat, page.cell_shift)
        size = LARGE if text_width(title, LARGE) <= side * DPI else SMALL
        axes.set_title("\n".join(wrapped(title, side * DPI, size)), fontsize=size, color=INK, loc="left", pad=4)
    return left + columns * (side + 0.1) / WIDTH


def _tiling(count: int, width: float, height: float) -> tuple[int, float]:
    """The number of columns that makes equal squares largest, and their side, in the unit of width and height."""
    sides = {
        columns: min(width / columns - 0.1, height / -(-count // columns) - TITLE) for columns in range(1, count + 1)
    }
    return max(sides.items(), key=lambda item: item[1])


def _draw_blocks(
    figure: Figure,
    blocks: Sequence[tuple[str, str]],
    edges: tuple[float, float],
    top: float,
    lowest: float,
    sizes: Sequence[float] = SIZES,
) -> float:
    """Draw headings and texts under each other, in the first of these sizes that fits, and return their lower edge.

    Where no size fits, the longest text is cut until the last one does. Of several lines, each hangs.
    """
    for size in sizes:
        texts = [wrapped(content, (edges[1] - edges[0]) * ACROSS, size) for _, content in blocks]
        while True:
            drawn, edge = _draw_texts(figure, [name for name, _ in blocks], texts, (edges[0], top), size)
            longest = max(texts, key=len, default=[])
            if edge >= lowest or (size == sizes[-1] and len(longest) < 2):
                return edge
            for block in drawn:
                block.remove()
            if size != sizes[-1]:
                break
            excess = math.ceil((lowest - edge) * HEIGHT * 72 / (BLOCK["linespacing"] * size))
            longest[-min(excess + 1, len(longest)) :] = [CUT]
    return top


def _draw_texts(
    figure: Figure, names: Sequence[str], texts: Sequence[Sequence[str]], corner: tuple[float, float], size: float
) -> tuple[list[Text], float]:
    """Draw a heading and its lines for each text, and return what was drawn and its lower edge."""
    drawn, edge = [], corner[1]
    for name, text in zip(names, texts, strict=True):
        for lines, style in (([name], {"weight": "bold", "fontsize": size - 1.5}), (text, {"fontsize": size})):
            block = figure.text(corner[0], edge, "\n".join(lines), **{**BLOCK, **style})
            drawn.append(block)
            edge = (_bottom(figure, block) if lines else edge) - 0.008
        edge -= 0.016
    return drawn, edge


def _recalled(page: CasePage) -> list[tuple[str, str]]:
    """Headings and texts about the recalled cases."""
    blocks = [("RECALLED CASES", page.memory)] if page.memory else []
    for name, listed in (("REASONS (association)", page.reasons), ("SIMILAR CASES (association)", page.similar)):
        if listed:
            blocks.append((name, "\n".join(textwrap.shorten(line, 150) for line in listed)))
    return blocks


def _draw_warnings(figure: Figure, page: CasePage, edges: tuple[float, float], below: float, lowest: float) -> None:
    """Draw as many warnings as fit under this height and above the notes, and the number of the others."""
    for count in range(len(page.warnings), 0, -1):
        room = (edges[1] - edges[0]) * ACROSS
        lines = [line for warning in page.warnings[:count] for line in wrapped(warning, room, 9)]
        if count < len(page.warnings):
            lines.append(f"and {len(page.warnings) - count} more")
        block = figure.text(edges[0], below - 0.01, "\n".join(lines), **{**BLOCK, "color": PRESENT, "fontsize": 9})
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
    width = width if film.aspect is None else height * film.aspect
    whole = (0, width, height, 0)
    axes.imshow(film.pixels, cmap="gray", vmin=0, vmax=255, extent=whole)
    axes.set_axis_off()
    # not strict: a film whose sides are not known gets no letters
    for letter, x in zip(film.sides or (), (0.04, 0.96), strict=False):
        axes.text(x, 0.95, letter, color="white", weight="bold", fontsize=9, transform=axes.transAxes, **MARK)
    if heat is None or not shows_place(torch.from_numpy(heat)):
        return
    scaled = heat / max(float(heat.max()), 1e-12)
    wide, high = width / heat.shape[1], height / heat.shape[0]
    right, down = shift * wide, shift * high
    framed = np.pad(scaled, 1, mode="edge")  # a cell more all around, or the shift leaves a strip of film without a map
    place = (right - wide, width + right + wide, height + down + high, down - high)
    axes.imshow(framed, cmap="inferno", alpha=framed * 0.55, extent=place, interpolation="bilinear", vmin=0, vmax=1)
    axes.set(xlim=whole[:2], ylim=whole[2:])
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    x, y = (column + 0.5) * wide + right, (row + 0.5) * high + down
    axes.plot(x, y, "+", color="cyan", ms=12)


def _draw_findings(axes: Axes, page: CasePage) -> None:
    """Draw one bar for each finding, with its threshold as a tick.

    The bar is red where the threshold is passed, and that of "No Finding" blue, because it is no abnormality.
    """
    names = list(page.probabilities)[::-1]
    values = [page.probabilities[name] for name in names]
    limits = [page.thresholds[name] for name in names]
    colours = [
        ABSENT if not is_predicted(value, limit) else NORMAL if name == FINDINGS[NO_FINDING] else PRESENT
        for name, value, limit in zip(names, values, limits, strict=True)
    ]
    axes.barh(names, values, color=colours, height=0.62)
    axes.scatter(limits, names, marker="|", color=INK, s=70, zorder=3)
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.tick_params(labelsize=8, length=0, labelcolor=INK)
    axes.set_title("probability, | threshold (in colour: passed)", fontsize=9, color=INK, loc="right")
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axes.grid(axis="x", color="#e4e9ee", zorder=0)
    axes.set_axisbelow(True)
