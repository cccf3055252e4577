"""Do cuts at two heights of the film give the level that the phantom planned? ``python -m benchmarks.box_places``.

Draws the frontal films of training studies of both versions of the phantom, tries all pairs of cut heights on the boxes
of their lung findings, and prints the pairs that agree best with the planned zones, on average over the versions. Then
the cuts of :mod:`ammrg.text.box_places` are tried on validation studies, where nothing was chosen. Last, the
references of test studies stand in for generated reports: how much of the place of their boxes do they tell? One JSON
line at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from ammrg.commands.parser import CommandParser
from ammrg.metrics.box_location import box_statistics, box_truth, weighted_scores
from ammrg.text.box_places import LOWER_FROM, MID_FROM, place_of_box
from ammrg.text.place_words import LEVELS
from ammrg.text.places import finding_places
from ammrg.types import Corners, FilmBox
from benchmarks._result import print_result
from datamodules.sources.phantom.anatomy import CENTRED, LOOSE
from datamodules.sources.phantom.films import draw_film
from datamodules.sources.phantom.plan import VERSIONS, StudyPlan, plan_study
from datamodules.sources.phantom.sentences import write_report
from datamodules.sources.phantom.signs import Sign

STUDIES, HELD_OUT, TESTED, SIZE = 400, 100, 240, 128
LUNG = ("Lung Opacity", "Lung Lesion", "Edema", "Consolidation", "Pneumonia", "Atelectasis")
"""Findings that the phantom draws at the height of their planned zone."""
STEP, HIGHEST, LOWEST = 0.005, 0.2, 0.75
"""The heights that are tried as cuts."""


class Drawn(NamedTuple):
    """A box on a frontal film, and the sign that it encloses."""

    sign: Sign
    box: Corners


def frontal_boxes(plan: StudyPlan) -> list[FilmBox]:
    """The boxes of a study's frontal film, drawn at :data:`SIZE` pixels."""
    view = plan.projections.index("frontal")
    positioning = LOOSE if plan.version == 1 else CENTRED
    film = draw_film("frontal", plan.signs, (*plan.seed, 100 + view), SIZE, positioning)
    return [
        FilmBox(finding, (x0 / SIZE, y0 / SIZE, x1 / SIZE, y1 / SIZE), "frontal")
        for finding, (x0, y0, x1, y1) in film.boxes
    ]


def drawn(version: int, split: str, count: int) -> Iterator[Drawn]:
    """The boxes of the lung findings on the frontal films of the first ``count`` studies of a split."""
    for number in range(count):
        plan = plan_study(split, number, version=version)
        signs = {sign.finding: sign for sign in plan.signs}
        yield from (Drawn(signs[each.finding], each.box) for each in frontal_boxes(plan) if each.finding in LUNG)


def references(count: int) -> dict[str, float]:
    """F1 against their boxes, and its chance, of the references of ``count`` test studies of the newest version."""
    plans = [plan_study("test", number) for number in range(count)]
    places = [finding_places(write_report(plan).findings) for plan in plans]
    truths = [box_truth(found, frontal_boxes(plan)) for found, plan in zip(places, plans, strict=True)]
    found = weighted_scores(box_statistics(truths, places), np.ones((1, count)))
    return {key: float(value[0]) for key, value in found.items()}


def best_cuts(boxes: Mapping[int, Sequence[Drawn]]) -> tuple[float, list[tuple[float, float]]]:
    """(the largest mean, over versions, of the share of boxes on their planned level; the pairs that reach it)."""
    grid = np.round(np.arange(HIGHEST, LOWEST, STEP), 3).tolist()
    shares = {(mid, lower): 0.0 for i, mid in enumerate(grid) for lower in grid[i + 1 :]}
    for of_version in boxes.values():
        heights = np.array([(each.box[1] + each.box[3]) / 2 for each in of_version])
        planned = np.array([LEVELS.index(each.sign.zone) for each in of_version])
        for cuts in shares:
            right = np.searchsorted(cuts, heights, side="right") == planned
            shares[cuts] += float(right.mean()) / len(boxes)
    most = max(shares.values())
    return most, [cuts for cuts, share in shares.items() if share == most]


def agreement(boxes: Sequence[Drawn]) -> dict[str, Any]:
    """The shares of boxes whose level is as planned, and whose side is one of those planned; and their number."""
    placed = [(each.sign, place_of_box(each.box)) for each in boxes]
    return {
        "boxes": len(boxes),
        "level": float(np.mean([place.level == {sign.zone} for sign, place in placed])),
        # A sign on both sides has a box on each.
        "side": float(np.mean([len(place.side) == 1 and place.side <= sign.sides for sign, place in placed])),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Draw, try the cuts and print."""
    parser = CommandParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="60 training, 20 validation and 20 test studies")
    quick = parser.parse_args(argv).quick
    counts = {"train": 60, "val": 20} if quick else {"train": STUDIES, "val": HELD_OUT}
    found = {(split, version): list(drawn(version, split, counts[split])) for split in counts for version in VERSIONS}
    most, cuts = best_cuts({version: found["train", version] for version in VERSIONS})
    console = Console(width=150)
    console.print(f"best on {counts['train']} training studies: {most:.4f} at {cuts}", highlight=False)
    table = Table(title=f"shares as planned; cuts: {MID_FROM}, {LOWER_FROM}")
    for column in ("version", "studies", "boxes", "level", "side"):
        table.add_column(column, justify="right")
    cases: list[dict[str, Any]] = [{"best": most, "cuts": cuts}]
    for (split, version), boxes in found.items():
        cases.append({"split": split, "version": version, "studies": counts[split], **agreement(boxes)})
        shares = (f"{cases[-1][key]:.3f}" for key in ("level", "side"))
        table.add_row(str(version), f"{counts[split]} {split}", str(len(boxes)), *shares)
    console.print(table)
    cases.append({"split": "test", "studies": 20 if quick else TESTED})
    cases[-1] |= references(cases[-1]["studies"])
    told = ", ".join(f"{key} {value:.3f}" for key, value in cases[-1].items() if key.startswith("box_"))
    console.print(f"references of {cases[-1]['studies']} test studies as reports: {told}", highlight=False)
    ours = sum(case["level"] for case in cases if case.get("split") == "train") / len(VERSIONS)
    print_result("box_places", cases, {"level on training studies, as well as the best pair": (ours, most - 1e-9)})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
