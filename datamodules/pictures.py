"""Draws pictures to check data before training: sample films, frequencies of findings, and augmented films.

``python -m datamodules.pictures`` draws ``docs/augmentation.png`` from phantom films. Each picture is written whole or
not at all, and the same data give the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from itertools import count, islice
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from ammrg.atomic import write_atomically
from ammrg.findings import FINDINGS
from ammrg.imaging.reading import read_film
from ammrg.imaging.transforms import eval_transform, train_transform
from datamodules.prepared import PreparedFolder

COLUMNS, ROWS, CELL = 6, 4, 256
VARIANTS, SMALL_CELL, NETWORK_SIDE = 7, 192, 224
AUGMENTATION = Path("docs/augmentation.png")


def contact_sheet(folder: Path, card: Mapping[str, Any], path: Path) -> None:
    """Draw a sheet of 24 films, chosen by the card's seed, with projection and positive findings under each."""
    split = max(card["counts"], key=lambda name: int(card["counts"][name]["studies"]))
    rows = PreparedFolder(folder).streamed(split, cached_groups=1)
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
        pen.text((left + 3, top + CELL + line), shorten(", ".join(positive), 40, placeholder=" ..."), fill=255)
    write_png(sheet, path)


def findings_chart(card: Mapping[str, Any], path: Path) -> None:
    """Draw the share of studies in which each finding is positive or uncertain, with one bar for each split."""
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
    axes.set_xlim(0, 1.04 * axes.dataLim.x1)  # a bar of zero width would end the axis at the longest bar
    axes.set_xlabel("share of studies: positive, and (pale) uncertain")
    axes.set_title(card["dataset"])
    axes.legend()
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110, metadata={"Software": None})
    write_atomically(path, picture.getvalue())


def augmentation_sheet(path: Path) -> None:
    """Draw two phantom studies, one film a row: as in evaluation, then as augmented in training, with finding boxes.

    The picture shows phantom films only, so it may be published.
    """
    from datamodules.sources.phantom import draw_study

    drawn = (draw_study("train", index, size=CELL) for index in count())
    studies = islice((study for study in drawn if len({box.view for box in study.boxes}) > 1), 2)
    line = 14
    films = [(study, view) for study in studies for view in range(len(study.views))]
    sheet = Image.new("L", ((1 + VARIANTS) * SMALL_CELL, line + len(films) * (SMALL_CELL + line)), 0)
    pen = ImageDraw.Draw(sheet)
    still, vary = eval_transform(NETWORK_SIDE), train_transform(NETWORK_SIDE)
    for column in range(1 + VARIANTS):
        pen.text((column * SMALL_CELL + 3, 1), f"training, seed {column}" if column else "evaluation", fill=255)
    for row, (study, view) in enumerate(films):
        film = read_film(study.views[view].image)
        boxes = [box for box in study.boxes if box.view == view]
        top = line + row * (SMALL_CELL + line)
        for column in range(1 + VARIANTS):
            shown, on_it = (vary if column else still).with_boxes(film, boxes, (row, column))
            small = Image.fromarray(shown).resize((SMALL_CELL - 2, SMALL_CELL - 2), Image.Resampling.BOX)
            marks = ImageDraw.Draw(small)
            for box in on_it:
                marks.rectangle([round(corner * (SMALL_CELL - 3)) for corner in box[2:]], outline=255)
            sheet.paste(small, (column * SMALL_CELL + 1, top + 1))
        positive = [name for name, value in zip(FINDINGS, study.labels, strict=True) if value == 1]
        pen.text((3, top + SMALL_CELL), f"{study.views[view].projection}: {', '.join(positive)}", fill=200)
    write_png(sheet, path)


def write_png(picture: Image.Image, path: Path) -> None:
    """Write a picture whole or not at all."""
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    write_atomically(path, file.getvalue())


if __name__ == "__main__":
    augmentation_sheet(AUGMENTATION)
