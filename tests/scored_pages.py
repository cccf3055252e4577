"""Small files of reports, their scores, and pages of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ammrg.evaluation.page.writing import Films, cases, write_page
from ammrg.evaluation.predictions import Line, System, read_lines
from ammrg.evaluation.scoring import score_systems
from ammrg.findings import ABNORMAL, FINDINGS

ATTACK = "</script><script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\"> <b>No edema.</b>"
PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw=="
REFERENCES = ("Mild cardiomegaly. No effusion.", "Small left pleural effusion.", "The lungs are clear.", "No edema.")
GRID = (100 * np.eye(7)).astype(int).tolist()
"""A map whose peak is in its first cell."""


def lines(count: int) -> list[Line]:
    draw = np.random.default_rng(0)
    return [
        Line(f"s{i:04}", f"p{i}", REFERENCES[i % 4], ATTACK if i == 1 else REFERENCES[draw.integers(4)])
        for i in range(count)
    ]


def scored(rows: list[Line], path: Path) -> dict[str, Any]:
    return score_systems([System("", "ours", path, rows)], protocols=("full",), resamples=20, with_meteor=False)


def write_reports(path: Path, rows: list[Line]) -> Path:
    memory = [{"study_id": "t1", "weight": 0.5, "text": f"Recalled. {ATTACK}"}]
    regions = [{"study_id": "", "finding": "Edema", "weight": 0.25, "box": None}]
    content = [
        {"study_id": line.study_id, "generated": line.generated, "reports": memory, "regions": regions} for line in rows
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    return path


def film_of(finding: str = "Edema", probability: float = 0.9) -> dict[str, Any]:
    """A film with the map of one finding."""
    return {"image": PIXEL, "maps": {finding: {"probability": probability, "grid": GRID}}, "shift": 0.5}


def page_of(folder: Path) -> Path:
    """A page of 40 studies, six of them with films."""
    rows = lines(40)
    reports = write_reports(folder / "reports.jsonl", rows)
    scores = scored(rows, reports)
    kept = {study: film_of() for study in cases(scores, 3)}
    return write_page(folder / "report.html", reports, rows, scores, Films(kept, "No film of this study."))


def with_another(path: Path) -> tuple[Path, list[Line], dict[str, Any]]:
    """Reports, and their scores beside another file's."""
    rows = lines(40)
    reports = write_reports(path / "reports.jsonl", rows)
    others = [line._replace(generated=REFERENCES[0]) for line in rows]
    systems = [System("", "ours", reports, rows), System("against", "<b>other", path / "other.jsonl", others)]
    return reports, rows, score_systems(systems, protocols=("full",), resamples=20, with_meteor=False)


def run_of(folder: Path, reports: list[tuple[str, str]]) -> tuple[Path, list[Line]]:
    """A run's reports (reference, generated), whose network finds a left lower edema, and no more, in each study.

    The first region and the first report of each study have the influence 0.5, the others none.
    """
    found = {FINDINGS[i]: 0.9 if FINDINGS[i] == "Edema" else 0.125 for i in range(len(FINDINGS))}
    rows = [
        {
            "study_id": f"s/{i} ü",
            "reference": reference,
            "generated": generated,
            "findings": found,
            "places": {"Edema": ["left", "lower"]},
            "regions": [
                {
                    "study_id": "t0",
                    "finding": "Edema",
                    "weight": 0.5,
                    "influence": 0.5,
                    "place": ["left"],
                    "text": "Left edema.",
                }
            ],
            "reports": [
                {"study_id": f"t{k}", "text": f"Text {k}.", "weight": 0.25, "influence": 0.5 * (k == 1)} for k in (1, 2)
            ],
        }
        for i, (reference, generated) in enumerate(reports)
    ]
    path = folder / "reports.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    meta = {"dataset": "phantom", "restricted": False, "thresholds": {FINDINGS[i]: 0.375 for i in ABNORMAL}}
    (folder / "reports.meta.json").write_text(json.dumps(meta))
    return path, read_lines(path)
