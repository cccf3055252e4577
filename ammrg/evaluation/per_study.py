"""``from ammrg import per_study``: the findings and scores of each study as a table of pandas."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ammrg.evaluation.column_names import Columns, parse_columns
from ammrg.evaluation.evaluate import Texts, read_input
from ammrg.evaluation.scorer import Scorer, Statistics, weighted_scores
from ammrg.evaluation.scoring import ScorerSettings, scorer_of
from ammrg.extras import needs_extra
from ammrg.findings import ABNORMAL, FINDINGS
from ammrg.metrics.bootstrap import CHUNK
from ammrg.metrics.clinical import positives
from ammrg.metrics.ngrams import ORDERS
from ammrg.text.labelers import Labeler

if TYPE_CHECKING:
    import pandas

Floats = NDArray[np.float64]
METRICS = (
    *("cider", "rouge_l", "bleu_1", "bleu_2", "bleu_3", "bleu_4", "meteor"),
    *("clinical_micro_f1_13_neg", "location_side_f1", "location_level_f1"),
)


def per_study(
    reports: str | Path | Texts,
    *,
    references: str | Path | Texts | None = None,
    patients: Texts | None = None,
    columns: Columns = None,
    labeler: Labeler | None = None,
    with_meteor: bool = False,
) -> pandas.DataFrame:
    """The findings and scores of each study, sorted by id, under the protocol ``full``.

    Args:
        reports: n generated texts, a dictionary of them by study id, or the path of a predictions file.
        references: the same of the references, as in :func:`ammrg.evaluation.evaluate.evaluate`.
        patients: for n texts, the patient of each.
        columns: for files, other names of their columns, as in :func:`ammrg.evaluation.evaluate.evaluate`.
        labeler: labels the findings; None: the rule-based labeler.
        with_meteor: also METEOR, if there is a ``java`` command.

    Returns:
        n rows: ``study_id``, ``subject_id``, ``referenced`` and ``said`` (tuples of the findings that reference and
        report affirm) and :data:`METRICS`, each with the name it has in ``scores.json``. CIDEr uses the idf of all n
        references; a study's BLEU is that of its pair of texts. NaN where nothing can be counted: BLEU-k of a report
        with fewer than k words, F1 where neither text has a finding (or a place).

    Raises:
        MissingPackageError: if pandas is not installed.
        ScoringError: if the reports cannot be scored.
    """
    with needs_extra("tables"):
        import pandas
    (system,) = read_input(reports, references, patients, columns=parse_columns(columns))[:1]
    settings = ScorerSettings(["full"], labeler=labeler, resamples=0, with_meteor=with_meteor)
    with scorer_of([system], settings) as scorer:
        statistics = scorer.statistics(system.lines)
        table: dict[str, Any] = {
            "study_id": [line.study_id for line in system.lines],
            "subject_id": [line.subject_id for line in system.lines],
            "referenced": _named(scorer, [line.reference for line in system.lines]),
            "said": _named(scorer, [line.generated for line in system.lines]),
        }
    return pandas.DataFrame(table | _scores(statistics.without_chance(), len(system.lines)))


def _named(scorer: Scorer, texts: Sequence[str]) -> list[tuple[str, ...]]:
    return [
        tuple(name for name, is_there in zip(FINDINGS, row, strict=True) if is_there)
        for row in positives(scorer.labels(texts), "neg")
    ]


def _scores(statistics: Statistics, count: int) -> dict[str, Floats]:
    """Metric -> ``[n]``: a weight of one for a study alone makes a corpus score its own."""
    parts = [
        weighted_scores(statistics, np.eye(min(CHUNK, count - start), count, start)) for start in range(0, count, CHUNK)
    ]
    found = {key: np.concatenate([part[key] for part in parts]) for key in METRICS if key in parts[0]}
    for key, counted in _counted(statistics).items():
        found[key] = np.where(counted, found[key], np.nan)
    return found


def _counted(statistics: Statistics) -> dict[str, NDArray[np.bool_]]:
    """Metric -> whether a study has anything to count, ``[n]``."""
    (words,) = statistics.language.values()
    truth, said = statistics.clinical["neg"]
    return {
        **{f"bleu_{k}": words.guessed[:, k - 1] > 0 for k in range(1, ORDERS + 1)},
        "clinical_micro_f1_13_neg": np.any((truth | said)[:, list(ABNORMAL)], axis=1),
        **{
            f"location_{aspect}_f1": (each.predicted > 0) | (each.support > 0)
            for aspect, each in statistics.location.found.items()
        },
    }
