"""What validation of stage 2 measures: losses with a study's own films and with its partner's, and reports against a
yardstick."""

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
"""Least yardstick. The best constant report may score next to nothing clinically, and a division by less than this
would let noise choose the checkpoint."""


class Judged(NamedTuple):
    """What validation found of one study."""

    loss: float
    """Sum over the report's tokens."""
    exchanged_loss: float
    """The same with its partner's films."""
    tokens: int
    reference: str
    text: str | None
    """The report that was written; None where none was."""
    exchanged: str | None
    """The report that was written from the partner's films; None where none was."""


class Yardstick:
    """What the best constant training report reaches on given references: ``val/score`` is measured by it."""

    def __init__(self) -> None:
        self.references: tuple[str, ...] = ()
        self.best: dict[str, float] = {}
        """Of these references, the value of each of :func:`report_scores`, at least :data:`CONSTANT_FLOOR`."""

    def __call__(self, texts: Callable[[str], list[str]], references: Sequence[str]) -> dict[str, float]:
        """Find :attr:`best`, once for the same references; ``texts`` gives the reports of a split."""
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
    references: Sequence[str], texts: Sequence[str], labels: list[list[float]], said: list[list[float]]
) -> dict[str, float]:
    """CIDEr and the clinical score of generated texts against whole references, both lightly normalised.

    Args:
        references, texts: one a study.
        labels: 14 values a study, what the labeler reads in its reference.
        said: the same of its text.
    """
    clinical = clinical_scores(labels, said)
    words = ([normalise(text) for text in column] for column in (references, texts))
    return {"cider": language_scores(*words)["cider"], CLINICAL: clinical[CLINICAL]}


def loss_numbers(judged: Sequence[Judged]) -> dict[str, float]:
    """``loss`` a token, and ``shuffle_gap``, by how much it grows with the partner's films."""
    tokens = sum(study.tokens for study in judged)
    loss = sum(study.loss for study in judged) / tokens
    return {"loss": loss, "shuffle_gap": sum(study.exchanged_loss for study in judged) / tokens - loss}


def report_numbers(
    judged: Sequence[Judged], exchanged: bool, yardstick: Callable[[Sequence[str]], dict[str, float]] | None
) -> dict[str, float]:
    """What the reports of the studies are worth; empty where none was written.

    Args:
        judged: the studies.
        exchanged: whether reports were written from the partners' films too.
        yardstick: references -> the yardstick of each of :func:`report_scores`; None = no ``score``.

    Returns:
        ``distinct``, the share of texts that differ; with ``exchanged`` ``shuffle_gap_f1``, by how much the clinical
        score is higher with a study's own films; those of :func:`report_scores`; and ``score``, the mean of both
        divided by the yardstick.
    """
    written = [study for study in judged if study.text is not None]
    if not written:
        return {}
    texts, references = [str(study.text) for study in written], [study.reference for study in written]
    labels, said = [label(text) for text in references], [label(text) for text in texts]
    found = {"distinct": len(set(texts)) / len(texts)}
    if exchanged:
        other = [label(str(study.exchanged)) for study in written]
        found["shuffle_gap_f1"] = clinical_scores(labels, said)[CLINICAL] - clinical_scores(labels, other)[CLINICAL]
    scores = report_scores(references, texts, labels, said)
    found |= scores
    if yardstick is not None:
        best = yardstick(references)
        found["score"] = sum(scores[name] / best[name] for name in scores) / len(scores)
    return found
