"""The numbers of a stage-2 validation.

They are losses with a study's own films and with its partner's, and scores of generated reports: of their words and
findings relative to those of the best constant report, of the sides of their findings relative to exchanged sides; and,
where the memories are taught what to recall, how often they recall it first, relative to chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from lightning.pytorch.utilities import rank_zero_only

from ammrg.metrics.clinical import clinical_scores
from ammrg.metrics.guards import best_constant
from ammrg.metrics.language import language_scores
from ammrg.metrics.location import ASPECTS, CHANCE, location_scores, location_statistics, pair_counts
from ammrg.metrics.location import weighted_scores as location_values
from ammrg.text.cleaning import normalise
from ammrg.text.labeler import label
from ammrg.text.places import finding_places

CLINICAL, SIDE = "clinical_micro_f1_13_neg", "location_side_f1"
CONSTANT_FLOOR = 0.1
"""Smallest yardstick of CIDEr and the clinical score.

The best constant report may have a clinical score near 0. Dividing by so little would let noise choose the checkpoint.
"""


class Recall(NamedTuple):
    """What one study's queries, or the study itself, recalled first from a memory."""

    queries: int
    """Number of queries that have something to recall."""
    right: int
    """Number of them that recall it first."""
    chance: float
    """Expected number of them if each recalled a random region of its finding, or a random report."""


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
    recalled: Mapping[str, Recall] = MappingProxyType({})
    """Memory (``visual`` or ``report``) -> what was recalled from it, for those that are taught what to recall."""


class Yardstick:
    """The scores by which ``val/score`` divides, on given references.

    For CIDEr and the clinical score they are those of the best constant training report; for the side F1, see
    :func:`exchanged_sides`.
    """

    def __init__(self) -> None:
        self.references: tuple[str, ...] = ()
        self.best: dict[str, float] = {}
        """The scores on these references: those of :func:`report_scores`, each at least :data:`CONSTANT_FLOOR`, and
        that of the side, if they name one."""

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
            side = exchanged_sides(references)
            if side is None:
                rank_zero_only(print)(
                    f"val/score leaves the side F1 out: the {count} validation references name no side of a finding "
                    "(n = 0)"
                )
            else:
                self.best[SIDE] = side
        return self.best


def exchanged_sides(references: Sequence[str]) -> float | None:
    """The side F1 of reports with the right findings and sides, but each side that of another study's finding.

    The sides of each finding are exchanged among the references that name one (mean of 100 random exchanges). A
    constant report would be no yardstick, because its side F1 is about 0. This one cannot be small: it is about .5
    where findings are as often on the left as on the right, and 1 where each finding has the same side everywhere. It
    depends on the references only, so it is the same in every epoch.

    Args:
        references: the true reports.

    Returns:
        From about 0.5 to 1; None if no reference names a side.
    """
    sided = [{name: place for name, place in finding_places(text).items() if place.side} for text in references]
    return location_scores(sided, sided)[f"{SIDE}{CHANCE}"]


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


def location_numbers(references: Sequence[str], texts: Sequence[str]) -> dict[str, float]:
    """Whether generated reports put findings where the references do.

    Args:
        references: the true report of each study.
        texts: the generated report of each study.

    Returns:
        For the side and the level: ``location_side_n``, the number of findings whose side the references name; and
        ``location_side_f1``, see :mod:`ammrg.metrics.location`, left out if n = 0.
    """
    statistics = location_statistics(
        *([finding_places(text) for text in each] for each in (references, texts)), draws=0
    )
    values, counts = location_values(statistics, np.ones((1, len(references)))), pair_counts(statistics)
    found = {}
    for aspect in ASPECTS:
        placed = counts[aspect]["placed"]
        found[f"location_{aspect}_n"] = float(placed or 0)
        if placed:
            found[f"location_{aspect}_f1"] = float(values[f"location_{aspect}_f1"][0])
    return found


def loss_numbers(judged: Sequence[Judged]) -> dict[str, float]:
    """``loss``, in nats a token, and ``shuffle_gap``, its increase with the partner's films."""
    tokens = sum(study.tokens for study in judged)
    loss = sum(study.loss for study in judged) / tokens
    return {"loss": loss, "shuffle_gap": sum(study.exchanged_loss for study in judged) / tokens - loss}


def recall_numbers(judged: Sequence[Judged]) -> dict[str, tuple[float, float]]:
    """Compute for each memory that is taught what to recall how often it recalls it first.

    Returns:
        ``recall_regions`` and ``recall_reports`` -> (the share of right ones, its yardstick: the share by chance, at
        least :data:`CONSTANT_FLOOR`); without a query, a memory is left out.
    """
    found = {}
    for memory, name in (("visual", "recall_regions"), ("report", "recall_reports")):
        each = [study.recalled[memory] for study in judged if memory in study.recalled]
        queries = sum(recall.queries for recall in each)
        if queries:
            chance = sum(recall.chance for recall in each) / queries
            found[name] = (sum(recall.right for recall in each) / queries, max(CONSTANT_FLOOR, chance))
    return found


def report_numbers(
    judged: Sequence[Judged], exchanged: bool, yardstick: Callable[[Sequence[str]], dict[str, float]] | None
) -> dict[str, float]:
    """The scores of the generated reports; empty if none was written.

    Args:
        judged: the validation results of the studies.
        exchanged: whether reports were also written from the partners' films.
        yardstick: references -> the yardstick of each part of the score, see :class:`Yardstick`; None = no ``score``.

    Returns:
        ``distinct``, the number of different texts divided by the number of texts; with ``exchanged`` also
        ``shuffle_gap_f1``, the clinical score with a study's own films minus that with the partner's, and ``side_gap``,
        the same of the side F1; those of :func:`report_scores`, :func:`location_numbers` and :func:`recall_numbers`;
        and ``score``, the mean of CIDEr, the clinical score, the side F1 and the shares of right recall, each after
        division by its yardstick. ``side_gap`` and the side F1 are left out if the references name no side.
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
    found |= report_scores(references, texts, labels, generated) | location_numbers(references, texts)
    if exchanged and SIDE in found:
        others = location_numbers(references, [str(study.exchanged) for study in written])
        found["side_gap"] = found[SIDE] - others[SIDE]
    recalled = recall_numbers(judged)
    found |= {name: share for name, (share, _) in recalled.items()}
    if yardstick is not None:
        best = yardstick(references) | {name: chance for name, (_, chance) in recalled.items()}
        found["score"] = sum(found[name] / best[name] for name in best) / len(best)
    return found
