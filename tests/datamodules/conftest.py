"""A small raw folder in IU X-Ray's layout, with noise films and invented sentences."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SENTENCES = (
    "The heart is normal in size. The lungs are clear.",
    "The heart is enlarged. There is a small left pleural effusion.",
    "No pneumothorax. There is a right lower lobe opacity.",
)


def write_film(path: Path, seed: int, size: tuple[int, int] = (60, 50)) -> None:
    """Write a unique film of smooth noise, as JPEG or PNG by its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path)


def write_rows(path: Path, rows: Sequence[Sequence[object]]) -> None:
    """Write a CSV file; the first row is its header."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture
def write_iu(tmp_path: Path) -> Callable[..., Path]:
    """Write ``count`` studies with uid 1.. as IU X-Ray: the CSV pair, and the annotation for those in ``annotated``."""

    def write(count: int = 12, annotated: dict[str, Sequence[int]] | None = None, folder: str = "raw") -> Path:
        raw = tmp_path / folder
        projections: list[Sequence[object]] = [("uid", "filename", "projection")]
        reports: list[Sequence[object]] = [
            ("uid", "MeSH", "Problems", "image", "indication", "comparison", "findings", "impression")
        ]
        for uid in range(1, count + 1):
            for number, projection in enumerate(("Frontal", "Lateral")):
                projections.append((uid, f"{uid}_IM-{number}.dcm.png", projection))
                write_film(raw / "images" / f"{uid}_IM-{number}.dcm.jpg", uid * 10 + number)
            text = SENTENCES[uid % len(SENTENCES)] + f" Number {uid}."
            reports.append((uid, "normal", "normal", "Xray", "Cough", "None.", text, f"Impression {uid}."))
        write_rows(raw / "indiana_projections.csv", projections)
        write_rows(raw / "indiana_reports.csv", reports)
        if annotated:
            (raw / "annotation.json").write_text(
                json.dumps(
                    {
                        split: [
                            {
                                "id": f"CXR{uid}_IM-0001",
                                "report": f"Annotated. {SENTENCES[uid % len(SENTENCES)]} Number {uid}.",
                                "image_path": [f"{uid}_IM-{number}.dcm.jpg" for number in range(2)],
                                "split": split,
                            }
                            for uid in uids
                        ]
                        for split, uids in annotated.items()
                    }
                )
            )
        return raw

    return write
