"""Reports that need no model, as rows beside ranked systems: the best constant report, and random training reports."""

from __future__ import annotations

import random
from collections.abc import Sequence

from ammrg.evaluation.predictions import Line, System
from ammrg.metrics.guards import best_constant, random_training

GROUP = "baselines"
TRIED_ON = 2000
"""Most training reports that candidates for the constant report are scored on."""


def baselines(ours: System, train_texts: Sequence[str], seed: int) -> list[System]:
    """The baselines on the studies of a system.

    The constant report is chosen on the training reports themselves, because the references must not choose it.

    Args:
        ours: any of the systems; gives studies, patients and references.
        train_texts: training reports.
        seed: of the random reports.

    Raises:
        ScoringError: if no training report has words.
    """
    texts = list(train_texts)
    sample = random.Random(seed).sample(texts, min(TRIED_ON, len(texts)))
    named = {
        f"best_constant_{metric}": [text] * len(ours.lines) for metric, text in best_constant(texts, sample).items()
    }
    named["random_training"] = random_training(texts, len(ours.lines), seed)
    return [System(GROUP, name, ours.path, _saying(ours.lines, texts)) for name, texts in named.items()]


def _saying(lines: Sequence[Line], texts: Sequence[str]) -> list[Line]:
    return [
        Line(line.study_id, line.subject_id, line.reference, text, boxes=line.boxes)
        for line, text in zip(lines, texts, strict=True)
    ]
