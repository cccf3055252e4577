"""The numbers of a stage-2 validation.

They are losses with a study's own films and with its partner's, and scores of generated reports relative to those of
the best constant report, the yardstick.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ammrg.metrics.clinical import clinical_scores
from ammrg.metrics.guards import best_constant
from ammrg.metrics.language import language_scores
from ammrg.text.cleaning import normalise
from ammrg.text.labeler import label

CLINICAL = "clinical_micro_f1_13_neg"
CONSTANT_FLOOR = 0.1
"""Smallest yardstick.

The best constant report may have a clinical score near 0. Dividing by so little would let noise choose the checkpoint.
"""


class Judged(NamedTuple):
    """The validation results of one study."""

    loss: float
    """Sum over the report's tokens, in nats."""
    exchanged_loss: float
    """The same with the partner's films."""
    tokens: int
    """Number of the report's tokens."""
    reference: str
    """The true report."""
    text: str | None
    """The generated report; None if none was written."""
    exchanged: str | None
    """The report generated from the partner's films; None if none was written."""


class Yardstick:
    """The scores of the best constant training report on given references, by which ``val/score`` divides."""

    def __init__(self) -> None:
        self.references: tuple[str, ...] = ()
        self.best: dict[str, float] = {}
        """The scores on these references, named as by :func:`report_scores`; each at least :data:`CONSTANT_FLOOR`."""

    def __call__(self, texts: Callable[[str], list[str]], references: Sequence[str]) -> dict[str, float]:
        """Compute :attr:`best` for these references and return it; the same references are not scored again.

        Args:
            texts: split -> the reports of that split.
            references: the true reports.
        """
        if self.references != tuple(references):
            labels, count = [label(text) for text in references], len(references)
            scores = [
                report_scores(references, [text] * count, labels, [label(text)] * count)
                for text in best_constant(texts("train"), list(references)).values()
            ]
            self.references = tuple(references)
            self.best = {name: max(CONSTANT_FLOOR, *(score[name] for score in scores)) for name in ("cider", CLINICAL)}
        return self.best


def report_scores(
    references: Sequence[str], texts: Sequence[str], labels: list[list[float]], generated: list[list[float]]
) -> dict[str, float]:
    """CIDEr and the clinical score of generated reports against whole references, both lightly normalised.

    Args:
        references: the true report of each study.
        texts: the generated report of each study.
        labels: the labeler's 14 values for each reference.
        generated: the labeler's 14 values for each generated report.
    """
    clinical = clinical_scores(labels, generated)
    words = ([normalise(text) for text in column] for column in (references, texts))
    return {"cider": language_scores(*words)["cider"], CLINICAL: clinical[CLINICAL]}


def loss_numbers(judged: Sequence[Judged]) -> dict[str, float]:
    """``loss``, in nats a token, and ``shuffle_gap``, its increase with the partner's films."""
    tokens = sum(study.tokens for study in judged)
    loss = sum(study.loss for study in judged) / tokens
    return {"loss": loss, "shuffle_gap": sum(study.exchanged_loss for study in judged) / tokens - loss}


def report_numbers(
    judged: Sequence[Judged], exchanged: bool, yardstick: Callable[[Sequence[str]], dict[str, float]] | None
) -> dict[str, float]:
    """The scores of the generated reports; empty if none was written.

    Args:
        judged: the validation results of the studies.
        exchanged: whether reports were also written from the partners' films.
        yardstick: references -> the yardstick of each of :func:`report_scores`; None = no ``score``.

    Returns:
        ``distinct``, the number of different texts divided by the number of texts; with ``exchanged`` also
        ``shuffle_gap_f1``, the clinical score with a study's own films minus that with the partner's; those of
        :func:`report_scores`; and ``score``, the mean of both after division by the yardstick.
    """
    written = [study for study in judged if study.text is not None]
    if not written:
        return {}
    texts, references = [str(study.text) for study in written], [study.reference for study in written]
    labels, generated = [label(text) for text in references], [label(text) for text in texts]
    found = {"distinct": len(set(texts)) / len(texts)}
    if exchanged:
        other = [label(str(study.exchanged)) for study in written]
        gap = clinical_scores(labels, generated)[CLINICAL] - clinical_scores(labels, other)[CLINICAL]
        found["shuffle_gap_f1"] = gap
    scores = report_scores(references, texts, labels, generated)
    found |= scores
    if yardstick is not None:
        best = yardstick(references)
        found["score"] = sum(scores[name] / best[name] for name in scores) / len(scores)
    return found
