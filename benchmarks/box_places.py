"""Do cuts at two heights of the film give the level that the phantom planned? ``python -m benchmarks.box_places``.

Draws the frontal films of training studies, tries all pairs of cut heights on the boxes of their lung findings, and
prints the pairs that agree best with the planned zones. Then the cuts of :mod:`ammrg.metrics.box_places` are tried on
validation studies, where nothing was chosen. One JSON line at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from ammrg.commands.parser import CommandParser
from ammrg.metrics.box_places import LOWER_FROM, MID_FROM, place_of_box
from ammrg.text.place_words import LEVELS
from ammrg.types import Corners
from benchmarks._result import print_result
from datamodules.sources.phantom.films import draw_film
from datamodules.sources.phantom.plan import plan_study
from datamodules.sources.phantom.signs import Sign

STUDIES, HELD_OUT, SIZE = 400, 100, 128
VERSION = 1
"""Of the phantom: the version whose patients stand anywhere and whose levels touch, so that the cuts matter."""
LUNG = ("Lung Opacity", "Lung Lesion", "Edema", "Consolidation", "Pneumonia", "Atelectasis")
"""Findings that the phantom draws at the height of their planned zone."""
STEP, HIGHEST, LOWEST = 0.005, 0.2, 0.75
"""The heights that are tried as cuts."""


class Drawn(NamedTuple):
    """A box on a frontal film, and the sign that it encloses."""

    sign: Sign
    box: Corners


def drawn(split: str, count: int, size: int = SIZE) -> Iterator[Drawn]:
    """The boxes of the frontal films of the first ``count`` studies of a split, drawn at ``size`` pixels."""
    for number in range(count):
        plan = plan_study(split, number, version=VERSION)
        signs = {sign.finding: sign for sign in plan.signs}
        view = plan.projections.index("frontal")
        film = draw_film("frontal", plan.signs, (*plan.seed, 100 + view), size, plan.positioning)
        for finding, (x0, y0, x1, y1) in film.boxes:
            yield Drawn(signs[finding], (x0 / size, y0 / size, x1 / size, y1 / size))


def best_cuts(boxes: Sequence[Drawn]) -> tuple[float, list[tuple[float, float]]]:
    """(the largest share of boxes on their planned level, the pairs of cut heights that reach it)."""
    heights = np.array([(each.box[1] + each.box[3]) / 2 for each in boxes])
    planned = np.array([LEVELS.index(each.sign.zone) for each in boxes])
    grid = np.round(np.arange(HIGHEST, LOWEST, STEP), 3)
    shares = {
        (float(mid), float(lower)): float((np.searchsorted([mid, lower], heights, side="right") == planned).mean())
        for i, mid in enumerate(grid)
        for lower in grid[i + 1 :]
    }
    most = max(shares.values())
    return most, [cuts for cuts, share in shares.items() if share == most]


def agreement(boxes: Sequence[Drawn]) -> dict[str, Any]:
    """The shares of boxes whose level and side are as planned, and their number.

    Sides are not those of edema, which may be drawn on both.
    """
    placed = [(each.sign, place_of_box(each.box)) for each in boxes]
    return {
        "boxes": len(boxes),
        "level": float(np.mean([place.level == {sign.zone} for sign, place in placed])),
        "side": float(np.mean([place.side == {sign.side} for sign, place in placed if sign.finding != "Edema"])),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Draw, try the cuts and print."""
    parser = CommandParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="60 training and 20 validation studies")
    counts = {"train": 60, "val": 20} if parser.parse_args(argv).quick else {"train": STUDIES, "val": HELD_OUT}
    found = {
        split: [each for each in drawn(split, count) if each.sign.finding in LUNG] for split, count in counts.items()
    }
    most, cuts = best_cuts(found["train"])
    console = Console(width=150)
    console.print(f"best on {counts['train']} training studies: {most:.3f} at {cuts}", highlight=False)
    table = Table(title=f"shares as planned, cut at {MID_FROM} and {LOWER_FROM}")
    for column in ("studies", "boxes", "level", "side"):
        table.add_column(column, justify="right")
    cases: list[dict[str, Any]] = [{"best": most, "cuts": cuts}]
    for split, boxes in found.items():
        cases.append({"split": split, "studies": counts[split], **agreement(boxes)})
        table.add_row(f"{counts[split]} {split}", *(f"{cases[-1][key]:.3g}" for key in ("boxes", "level", "side")))
    console.print(table)
    print_result("box_places", cases, {"level on training studies, against the best pair": (cases[1]["level"], most)})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
