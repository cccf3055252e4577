"""``python -m tests.evaluation.drawn_submissions FOLDER``: three systems' reports of 40 studies of the phantom.

The files are in ``tests/evaluation/submissions``, in three layouts, with columns of other names than ours. "A" writes
some studies' references and other studies' elsewhere, "B" the same but some with left and right exchanged, and "C" only
other studies'. A patient's sex and a study's view are drawn at random, so groups differ by chance alone.
"""

from __future__ import annotations

import csv
import json
import random
import sys
from pathlib import Path

from benchmarks.swapped_sides import swapped
from datamodules.sources.phantom.plan import plan_study
from datamodules.sources.phantom.sentences import write_report

STUDIES = 40
FILES = ("references.csv", "a.jsonl", "b.csv", "c.json", "train.txt")


def draw(folder: Path, studies: int = STUDIES) -> None:
    """Write :data:`FILES`."""
    folder.mkdir(parents=True, exist_ok=True)
    draws = random.Random(0)
    plans = [plan_study("test", number) for number in range(studies)]
    texts = [write_report(plan).findings for plan in plans]
    ids = [plan.study_id for plan in plans]
    sexes: dict[str, str] = {}
    rows = [
        (
            plan.study_id,
            text,
            plan.subject_id,
            sexes.setdefault(plan.subject_id, draws.choice("FM")),
            draws.choice(("AP", "PA")),
        )
        for plan, text in zip(plans, texts, strict=True)
    ]
    write_csv(folder / "references.csv", [("study", "report", "patient", "sex", "view"), *rows])
    a = [text if draws.random() < 0.6 else draws.choice(texts) for text in texts]
    b = [swapped(text) if draws.random() < 0.5 else text for text in a]
    c = [draws.choice(texts) for _ in texts]
    lines = [json.dumps({"study": study, "prediction": text}) + "\n" for study, text in zip(ids, a, strict=True)]
    (folder / "a.jsonl").write_text("".join(lines), encoding="utf-8")
    write_csv(folder / "b.csv", [("study", "prediction"), *zip(ids, b, strict=True)])
    table = {study: {"model_prediction": text} for study, text in zip(ids, c, strict=True)}
    (folder / "c.json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    train = [write_report(plan_study("train", number)).findings for number in range(studies)]
    (folder / "train.txt").write_text("".join(f"{text}\n" for text in train), encoding="utf-8")


def write_csv(path: Path, rows: list[tuple[str, ...]]) -> None:
    """Write rows, the header first."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
