"""Compares the rule-based labeler with the CheXpert labeler's labels of IU X-Ray: ``python -m benchmarks.labeler RAW``.

Both read the findings section. Rules were tuned on the training studies of the R2Gen annotation only, so the result
that counts is that of all other studies (validation, test, and those in the CSV pair only). Each part is labelled
twice: as for scoring reports, and with the CheXpert labeler's known misreadings (``as_chexpert``), which agreement with
its labels requires. Prints a table for each, then one JSON line.
"""

from __future__ import annotations

import csv
import json
import math
import os
import re
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from ammrg.commands.parser import CommandParser
from ammrg.errors import DataError
from ammrg.findings import ABNORMAL, FINDINGS
from ammrg.text.labeler import label, sentence_mentions
from benchmarks._result import print_result

RAW = Path(os.environ.get("AMMRG_IU_XRAY", "../shared/data/iu_xray"))
PARTS = ("train", "val", "test", "csv_only", "held_out")


class Labelled(NamedTuple):
    """One study with a findings section and the CheXpert labeler's labels of it."""

    uid: str
    part: str
    text: str
    labels: list[float]


def read(raw: Path) -> list[Labelled]:
    """Studies with a findings section, in the order of the labels file."""
    files = {name: raw / name for name in ("chexpert_labels.csv", "indiana_reports.csv", "annotation.json")}
    for path in files.values():
        if not path.is_file():
            raise DataError(f"{path}: no such file; give the IU X-Ray folder that contains {', '.join(files)}.")
    with files["indiana_reports.csv"].open(newline="", encoding="utf-8") as file:
        texts = {row["uid"]: row["findings"] for row in csv.DictReader(file)}
    part_of = {
        found.group(1): split
        for split, entries in json.loads(files["annotation.json"].read_text(encoding="utf-8")).items()
        for entry in entries
        if (found := re.match(r"CXR(\d+)_", entry["id"]))
    }
    with files["chexpert_labels.csv"].open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        Labelled(
            row["uid"],
            part_of.get(row["uid"], "csv_only"),
            texts[row["uid"]],
            [float(row[name]) if row[name] else math.nan for name in FINDINGS],
        )
        for row in rows
        if texts.get(row["uid"], "").strip()
    ]


def f1(true: float, predicted: float, support: float) -> tuple[float, float, float]:
    """Precision, recall, F1; 0 where undefined."""
    return (
        true / predicted if predicted else 0.0,
        true / support if support else 0.0,
        2 * true / (predicted + support) if predicted + support else 0.0,
    )


Agreement = tuple[float, float, float, int]
"""Precision, recall, F1, support."""


def agreement(reference: np.ndarray, ours: np.ndarray, value: float) -> dict[str, Agreement]:
    """(precision, recall, F1, support) of the mentions with this label: per finding, and micro over 14 and 13."""
    there, here = reference == value, ours == value
    table = {}
    groups = {name: [i] for i, name in enumerate(FINDINGS)}
    groups |= {"micro 14": list(range(len(FINDINGS))), "micro 13": list(ABNORMAL)}
    for name, index in groups.items():
        true, predicted, support = (int(t[:, index].sum()) for t in (there & here, here, there))
        table[name] = (*f1(true, predicted, support), support)
    return table


def agreement_table(title: str, found: dict[str, dict[str, Agreement]]) -> Table:
    """Rows: findings; columns: precision, recall, F1 and support of positive, uncertain and negative mentions."""
    table = Table(title=title, padding=(0, 0, 0, 1), pad_edge=False)
    table.add_column("finding", no_wrap=True)
    for name in found:
        for column in ("P", "R", "F1", "n"):
            table.add_column(f"{name[:3]}\n{column}", justify="right")
    for finding in found["positive"]:
        cells = []
        for rows in found.values():
            *scores, support = rows[finding]
            cells += [f"{score:.2f}" for score in scores] + [str(support)]
        table.add_row(finding, *cells, end_section=finding == FINDINGS[-1])
    return table


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = CommandParser(description=__doc__.splitlines()[0])
    parser.add_argument("raw", nargs="?", type=Path, default=RAW, help="the IU X-Ray folder (default: %(default)s)")
    arguments = parser.parse_args(argv)
    studies = read(arguments.raw)
    times = []
    readings: dict[str, list[list[float]]] = {}
    for _ in range(3):
        sentence_mentions.cache_clear()
        start = time.perf_counter()
        readings["as written"] = [label(study.text) for study in studies]
        times.append(time.perf_counter() - start)
    readings["as CheXpert"] = [label(study.text, as_chexpert=True) for study in studies]
    reference = np.array([study.labels for study in studies])
    console = Console(width=120)
    found: dict[str, dict[str, dict[str, Agreement]]] = {}
    for reading, labels in readings.items():
        ours = np.array(labels)
        for part in PARTS:
            chosen = np.array([part in (study.part, "held_out" if study.part != "train" else "") for study in studies])
            name_of_part = f"{reading}, {part}"
            found[name_of_part] = {
                name: agreement(reference[chosen], ours[chosen], value)
                for name, value in (("positive", 1.0), ("uncertain", -1.0), ("negative", 0.0))
            }
            console.print(agreement_table(f"{name_of_part}: {int(chosen.sum())} studies", found[name_of_part]))
    targets = {}
    for reading in readings:
        held = found[f"{reading}, held_out"]["positive"]
        weakest = min((row[2], name) for name, row in held.items() if row[3] >= 20)
        targets[f"{reading}: micro F1 of positives, 14 findings, held-out"] = (held["micro 14"][2], 0.90)
        targets[f"{reading}: micro F1 of positives, 13 findings, held-out"] = (held["micro 13"][2], 0.90)
        targets[f"{reading}: weakest of 20 positives, held-out ({weakest[1]})"] = (weakest[0], 0.80)
    seconds = statistics.median(times)
    print_result(
        "labeler", [{"reports": len(studies), "ours_s": seconds, "reports_per_s": len(studies) / seconds}], targets
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
