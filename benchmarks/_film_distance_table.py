"""The table of ``docs/film_distance.md``, from results of :mod:`benchmarks.unlike_films`."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks._markdown import markdown

NETWORKS = {
    "unlike_films_tiny": "phantom, `tiny` at 224 px, 10 epochs",
    "unlike_films_nano": "phantom, `nano` at 64 px, 2 epochs",
    "unlike_films_real": "IU X-Ray, `small` at 224 px, 4 epochs",
}
"""Result -> heading of its column."""
FOLDERS = {"samples": "nine samples, DICOM and PNG", "images": "IU X-Ray, frontal and lateral"}
"""Name of a folder of other films -> what is in it."""


def film_distance(folder: Path) -> str:
    """Of each kind of film the share beyond 1, with the least and the median distance."""
    columns = []
    for name in NETWORKS:
        cases = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["cases"]
        columns.append({case["kind"]: case for case in cases})
    numbers = "; ".join(str(column["own test films"]["films"]) for column in columns)
    rows = []
    for kind in columns[0]:
        label = f"own test films ({numbers})" if kind == "own test films" else FOLDERS.get(kind, kind)
        found = [column[kind] for column in columns]
        rows.append([label, *(f"{row['beyond']:.3f} ({row['least']:.2f}, {row['median']:.2f})" for row in found)])
    return markdown(["films", *NETWORKS.values()], rows)
