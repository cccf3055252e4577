"""Reports made of a few sentences, as lines of a file."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

SENTENCES = (
    "There is a small left pleural effusion.",
    "No pleural effusion or pneumothorax.",
    "Mild cardiomegaly.",
    "The heart is normal in size.",
    "Possible pneumonia in the right lung.",
    "The lungs are clear.",
    "A nodule is seen in the upper lobe.",
    "Left rib fracture.",
)
FAST = ("--no-meteor", "--bootstrap", "50")


def report(seed: int) -> str:
    return " ".join(random.Random(seed).sample(SENTENCES, 4))


def lines(generated: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "study_id": f"s{i:03}",
            "subject_id": f"p{i // 2}",
            "reference": report(i),
            "generated": text,
            "reference_in_training": i % 4 == 0,
        }
        for i, text in enumerate(generated)
    ]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def of_patients(patients: int, studies: int = 12) -> list[dict[str, Any]]:
    good = [report(i) if i % 3 else report(i + 1) for i in range(studies)]
    return [row | {"subject_id": f"p{i % patients}"} for i, row in enumerate(lines(good))]
