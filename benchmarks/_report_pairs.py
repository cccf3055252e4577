"""Predictions files of drawn studies: references of the phantom, and reports of the same studies with mistakes.

A generated report has another wording than its reference, because the same plan is written with another seed. Some of
its findings are left out, on the wrong side or invented, some reports speak of change or sizes, a few are another
study's report, and one in 500 is empty. So every table of the scores has something to count.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ammrg.findings import ABNORMAL, FINDINGS
from datamodules.sources.phantom.plan import StudyPlan, plan_study
from datamodules.sources.phantom.sentences import write_report
from datamodules.sources.phantom.signs import Sign

CLAIMS = ("No interval change.", "A 2 cm nodule is seen.", "The tube ends 4 cm above the carina.", "This is stable.")
"""Sentences that one film cannot show."""
_COLUMNS = {"right": (0.1, 0.4), "left": (0.6, 0.9), "": (0.4, 0.6)}
_ROWS = {"upper": (0.1, 0.3), "mid": (0.4, 0.5), "lower": (0.6, 0.9), "": (0.4, 0.6)}


def write_pairs(folder: Path, studies: int, *, memories: bool = False) -> Path:
    """Write ``reports.jsonl`` of the phantom's first test studies.

    Args:
        folder: for the file; it is made if it is absent.
        studies: how many.
        memories: also write what a run tells beside its texts: probabilities with their thresholds, boxes, retrieved
            reports, and the files of ``recalled/``.

    Returns:
        The path of the file.
    """
    draw = random.Random(studies)
    plans = [plan_study("test", number) for number in range(studies)]
    texts = [write_report(plan).findings for plan in plans]
    rows = [
        {
            "study_id": plan.study_id,
            "subject_id": plan.subject_id,
            "reference": text if draw.random() < 0.9 else f"{text} {draw.choice(CLAIMS)}",
            "generated": _generated(plan, texts, draw),
        }
        for plan, text in zip(plans, texts, strict=True)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    if memories:
        for plan, row in zip(plans, rows, strict=True):
            row |= _told(plan, texts, draw)
        thresholds = {FINDINGS[i]: 0.5 for i in ABNORMAL}
        (folder / "reports.meta.json").write_text(json.dumps({"dataset": "phantom", "thresholds": thresholds}))
        for name in ("own", "random"):
            _write(folder / "recalled" / f"{name}.jsonl", (_recalled(plan, texts, draw) for plan in plans))
    return _write(folder / "reports.jsonl", rows)


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _generated(plan: StudyPlan, texts: list[str], draw: random.Random) -> str:
    """The report of a plan in another wording, with mistakes."""
    chance = draw.random()
    if chance < 0.002:
        return ""
    if chance < 0.05:
        return draw.choice(texts)
    signs = [_moved(sign) if draw.random() < 0.2 else sign for sign in plan.signs if draw.random() < 0.85]
    if draw.random() < 0.15:
        known = {sign.finding for sign in signs}
        others = plan_study("val", draw.randrange(1000)).signs
        signs += [sign for sign in others if sign.finding not in known][:1]
    report = write_report(plan._replace(signs=tuple(signs), seed=(1, *plan.seed))).findings
    return f"{report} {draw.choice(CLAIMS)}" if draw.random() < 0.2 else report


def _moved(sign: Sign) -> Sign:
    return sign._replace(side=sign.other_side) if sign.side else sign


def _told(plan: StudyPlan, texts: list[str], draw: random.Random) -> dict[str, Any]:
    """What a run says of a study beside its texts."""
    present = {sign.finding for sign in plan.signs if not sign.uncertain}
    return {
        "findings": {
            name: round(draw.uniform(0.5, 1.0) if (name in present) == (draw.random() < 0.95) else 0.2, 3)
            for name in FINDINGS
        },
        "boxes": [
            {"finding": sign.finding, "projection": "frontal", "box": [x0, y0, x1, y1]}
            for sign in plan.signs
            for side in (sign.sides or {""})
            for (x0, x1), (y0, y1) in [(_COLUMNS[side], _ROWS[sign.zone])]
        ],
        "reports": [{"study_id": "t", "weight": 0.5, "text": draw.choice(texts)} for _ in range(3)],
    }


def _recalled(plan: StudyPlan, texts: list[str], draw: random.Random) -> dict[str, Any]:
    """A line of a file in ``recalled/``."""
    regions = {
        sign.finding: [
            {
                "pattern": draw.randrange(500),
                "finding": draw.choice((sign.finding, "Pneumonia")),
                "place": {"side": [draw.choice(("left", "right"))], "level": [draw.choice(("upper", "lower"))]},
            }
            for _ in range(5)
        ]
        for sign in plan.signs
    }
    rows = [draw.randrange(len(texts)) for _ in range(3)]
    return {
        "study_id": plan.study_id,
        "regions": regions,
        "reports": [{"pattern": row, "text": texts[row]} for row in rows],
    }
