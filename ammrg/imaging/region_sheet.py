"""A page of films with one stored region drawn on each: the regions that a memory holds for a finding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ammrg.atomic import partial_file
from ammrg.types import Corners

COLUMNS, CELL, LINE = 6, 224, 15
REGION, KNOWN = (255, 80, 60), (70, 200, 255)


class SheetCell(NamedTuple):
    """One film of the page."""

    film: NDArray[np.uint8]
    """8-bit grey ``[h w]``."""
    region: Corners
    known: Sequence[Corners]
    """Known places of the finding; empty where they are not known."""
    caption: str


def draw_region_sheet(title: str, cells: Sequence[SheetCell], footnote: str, path: Path) -> Path:
    """Draw the page as PNG, the region in red and known places in blue, and return its path."""
    rows = max(1, -(-len(cells) // COLUMNS))
    page = Image.new("RGB", (COLUMNS * CELL, rows * (CELL + LINE) + 2 * LINE + 6), (24, 24, 24))
    pen = ImageDraw.Draw(page)
    pen.text((4, 2), title, fill=(255, 255, 255))
    for place, cell in enumerate(cells):
        left, top = place % COLUMNS * CELL, place // COLUMNS * (CELL + LINE) + LINE + 3
        film = Image.fromarray(cell.film)
        scale = (CELL - 2) / max(film.size)
        width, height = max(1, round(film.width * scale)), max(1, round(film.height * scale))
        page.paste(film.resize((width, height), Image.Resampling.BILINEAR).convert("RGB"), (left, top))
        for boxes, colour, line in ((cell.known, KNOWN, 1), ([cell.region], REGION, 2)):
            for x0, y0, x1, y1 in boxes:
                edges = (left + x0 * width, top + y0 * height, left + x1 * width - 1, top + y1 * height - 1)
                pen.rectangle(edges, outline=colour, width=line)
        pen.text((left + 2, top + CELL - 1), cell.caption[:38], fill=(200, 200, 200))
    pen.text((4, page.height - LINE), footnote, fill=REGION)
    path.parent.mkdir(parents=True, exist_ok=True)
    with partial_file(path) as partial:
        page.save(partial, format="PNG")
    return path
