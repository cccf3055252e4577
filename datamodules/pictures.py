"""Two pictures of a prepared folder, to look at before training: films, and how often each finding is there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from ammrg.findings import FINDINGS
from ammrg.imaging.reading import read_film
from datamodules.shards import load_split

COLUMNS, ROWS, CELL = 6, 4, 256


def contact_sheet(folder: Path, card: Mapping[str, Any], path: Path) -> None:
    """24 films drawn by the card's seed, with projection and positive findings under each."""
    split = max(card["counts"], key=lambda name: int(card["counts"][name]["studies"]))
    rows = load_split(folder, split)
    draw = np.random.default_rng(int(card["seed"] or 0))
    chosen = draw.permutation(len(rows))[: COLUMNS * ROWS]
    line = 14
    sheet = Image.new("L", (COLUMNS * CELL, ROWS * (CELL + 2 * line)), 0)
    pen = ImageDraw.Draw(sheet)
    for place, index in enumerate(chosen):
        row = rows[int(index)]
        view = int(draw.integers(len(row["images"])))
        film = Image.fromarray(read_film(row["images"][view], max_side=CELL))
        left, top = place % COLUMNS * CELL, place // COLUMNS * (CELL + 2 * line)
        sheet.paste(film, (left + (CELL - film.width) // 2, top + (CELL - film.height) // 2))
        positive = [name for name, value in zip(FINDINGS, row["labels"], strict=True) if value == 1]
        pen.text((left + 3, top + CELL), f"{row['study_id']} {row['projections'][view]}"[:40], fill=200)
        pen.text((left + 3, top + CELL + line), ", ".join(positive)[:40], fill=255)
    sheet.save(path)


def findings_chart(card: Mapping[str, Any], path: Path) -> None:
    """Share of studies that call each finding positive or uncertain, a bar a split."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.add_subplot()
    splits = list(card["counts"])
    height = 0.8 / len(splits)
    for number, split in enumerate(splits):
        studies = card["counts"][split]["studies"]
        cells = [card["findings"][split][name] for name in FINDINGS]
        places = np.arange(len(FINDINGS)) + number * height
        positive = np.array([cell["positive"] / studies for cell in cells])
        uncertain = np.array([cell["uncertain"] / studies for cell in cells])
        bars = axes.barh(places, positive, height, label=f"{split} ({studies:,})")
        axes.barh(places, uncertain, height, left=positive, color=bars.patches[0].get_facecolor(), alpha=0.4)
    axes.set_yticks(np.arange(len(FINDINGS)) + 0.4 - height / 2, FINDINGS)
    axes.invert_yaxis()
    axes.set_xlabel("share of studies: positive, and (pale) uncertain")
    axes.set_title(card["dataset"])
    axes.legend()
    figure.savefig(path, dpi=110)
