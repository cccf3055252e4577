"""Scores of generated reports as torchmetrics: texts are gathered over processes, and each study is scored once.

The mean of per-process corpus scores is not a corpus score. So the state is the texts themselves, and the scores do not
depend, to the last digit, on how the studies were spread over processes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ammrg.errors import ScoringError
from ammrg.metrics.clinical import clinical_scores
from ammrg.metrics.gathered import GatheredMetric
from ammrg.metrics.language import language_scores
from ammrg.text.blank import scored_text
from ammrg.text.cleaning import normalise
from ammrg.text.labeler import label


class Texts(NamedTuple):
    """The two texts of a study."""

    study_id: str
    reference: str
    generated: str


class ReportMetric(GatheredMetric):
    """Pairs of texts of a whole split, by study id; a study that a sampler repeats counts once.

    Texts travel between processes as bytes: a JSON list and a line feed for each study.
    """

    lines: list[Tensor]
    """uint8 ``[bytes]`` each."""

    def __init__(self) -> None:
        super().__init__()
        self.add_rows("lines", torch.uint8)

    def update(self, study_ids: Sequence[str], references: Sequence[str], generated: Sequence[str]) -> None:
        """Add the texts of some studies; if a study is added twice, the first texts count.

        Raises:
            ScoringError: if the numbers differ.
        """
        if not len(study_ids) == len(references) == len(generated):
            raise ScoringError(
                f"{len(study_ids)} study ids, {len(references)} references and {len(generated)} generated reports; "
                "give one of each for a study."
            )
        rows = zip(study_ids, references, generated, strict=True)
        written = "".join(json.dumps(row) + "\n" for row in rows).encode()
        self.lines.append(torch.tensor(list(written), dtype=torch.uint8, device=self.device))

    def studies(self) -> list[Texts]:
        """All texts added so far, sorted by id, after :func:`ammrg.text.blank.scored_text`.

        Raises:
            ScoringError: if there are none.
        """
        rows = [Texts(*json.loads(line)) for line in bytes(self.rows("lines").numpy()).decode().splitlines()]
        if not rows:
            raise ScoringError("no reports to score.")
        kept = {row.study_id: row for row in reversed(rows)}
        return [Texts(study_id, *map(scored_text, kept[study_id][1:])) for study_id in sorted(kept)]


class LanguageMetric(ReportMetric):
    """Corpus BLEU-1..4, ROUGE-L and CIDEr, see :func:`ammrg.metrics.language.language_scores`.

    Args:
        view: normalises both texts before scoring.
    """

    def __init__(self, view: Callable[[str], str] = normalise) -> None:
        super().__init__()
        self.view = view

    def compute(self) -> dict[str, float]:
        """Scores over the studies of all processes; a reference without a word is left out."""
        pairs = [(self.view(row.reference), self.view(row.generated)) for row in self.studies()]
        scored = [pair for pair in pairs if pair[0]]
        return language_scores([reference for reference, _ in scored], [generated for _, generated in scored])


class ClinicalMetric(ReportMetric):
    """Micro, macro and example-based clinical scores, see :func:`ammrg.metrics.clinical.clinical_scores`.

    Args:
        labeler: text -> 14 labels; by default the rule-based labeler.
    """

    def __init__(self, labeler: Callable[[str], Sequence[float]] = label) -> None:
        super().__init__()
        self.labeler = labeler

    def compute(self) -> dict[str, float]:
        """Scores over the studies of all processes."""
        rows = self.studies()
        return clinical_scores(
            [self.labeler(row.reference) for row in rows], [self.labeler(row.generated) for row in rows]
        )
