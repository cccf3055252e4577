"""Drawn studies to try on the page of a model: a folder of films for each, whose name says what was drawn."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

from ammrg.demo.examples import NOTE
from datamodules.sources.phantom import StudyPlan, draw_study, plan_study
from datamodules.sources.phantom.signs import Sign

SEED = 2026
"""No data set that the Makefile prepares has this seed, so no model was trained on these studies."""
SIZE = 512
"""Width and height of the films in pixels: larger than those of prepared data, to look at them on a page."""
WANTED = (0, 1, 1, 2, 3, 4)
"""Number of signs of each example."""

ABOUT = "drawn films of the phantom, which show no patient; each title says what was drawn\n"


def draw_examples(folder: Path) -> Path:
    """Draw six studies of two films, the same each time: ``1 Normal/1 frontal.png`` and so on.

    Args:
        folder: for their folders.

    Returns:
        The folder.
    """
    (folder / NOTE).write_text(ABOUT)
    for number, index in enumerate(_chosen(), 1):
        plan = plan_study("test", index, SEED)
        own = folder / f"{number} {title(plan)}"
        own.mkdir(parents=True, exist_ok=True)
        for film, view in enumerate(draw_study("test", index, SEED, SIZE).views, 1):
            assert isinstance(view.image, bytes)
            (own / f"{film} {view.projection}.png").write_bytes(view.image)
    return folder


def title(plan: StudyPlan) -> str:
    """Name the signs of a study with their sides; ``Normal`` where it has none."""
    return ", ".join(map(_named, plan.signs)) or "Normal"


def _chosen() -> Iterator[int]:
    """The first studies with two films, no uncertain sign and the wanted numbers of signs, each another set."""
    seen: set[tuple[str, ...]] = set()
    candidates = (
        (index, tuple(sign.finding for sign in plan.signs))
        for index in count()
        for plan in [plan_study("test", index, SEED)]
        if len(plan.projections) == 2 and not any(sign.uncertain for sign in plan.signs)
    )
    for wanted in WANTED:
        index, found = next((index, found) for index, found in candidates if len(found) == wanted and found not in seen)
        seen.add(found)
        yield index


def _named(sign: Sign) -> str:
    side = "both sides" if sign.other_size is not None else sign.side
    return f"{sign.finding} {side}".strip()
