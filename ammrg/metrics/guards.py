"""Guards against misleading scores: reports that need no model, and warnings about collapsed generators."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ammrg.errors import ScoringError
from ammrg.findings import ABNORMAL, FINDINGS, NO_FINDING, POSITIVE
from ammrg.metrics.constant import ConstantScorer
from ammrg.metrics.location import Places
from ammrg.partners import partners
from ammrg.text.blank import is_blank
from ammrg.text.cleaning import normalise
from ammrg.text.places import Place
from ammrg.text.template_report import template_report

CANDIDATES = 200
"""How many of the most frequent training reports are tried as the constant report."""
ONE_TEXT = "ONE TEXT FOR ALL"
"""Title of the warning that all reports are the same."""


def best_constant(
    train_reports: Sequence[str], val_references: Sequence[str], view: Callable[[str], str] = normalise
) -> dict[str, str]:
    """The training reports that score best as the report of every validation study.

    Args:
        train_reports: training texts; the 200 most frequent after ``view`` are tried (among equals, the first).
        val_references: validation texts.
        view: normalises a text before counting and scoring (:func:`~ammrg.text.cleaning.normalise` or R2Gen's).

    Returns:
        ``{"bleu4": text, "cider": text}``: each text as it first occurs in ``train_reports``.

    Raises:
        ScoringError: if one side has no texts.
    """
    first: dict[str, str] = {}
    seen: Counter[str] = Counter()
    for text in train_reports:
        if viewed := view(text):
            first.setdefault(viewed, text)
            seen[viewed] += 1
    references = [viewed for text in val_references if (viewed := view(text))]
    if not seen or not references:
        raise ScoringError("best constant report: needs training reports and validation references; one side is empty.")
    scorer = ConstantScorer(references)
    candidates = [text for text, _ in seen.most_common(CANDIDATES)]
    scores = [scorer.score(text) for text in candidates]
    best = {name: int(np.argmax([score[i] for score in scores])) for i, name in enumerate(("bleu4", "cider"))}
    return {name: first[candidates[i]] for name, i in best.items()}


def random_training(train_reports: Sequence[str], n: int, seed: int) -> list[str]:
    """Draw ``n`` training reports with replacement.

    Raises:
        ScoringError: if there are no training reports.
    """
    if not train_reports:
        raise ScoringError("random training report: there are no training reports.")
    return random.Random(seed).choices(list(train_reports), k=n)


def nearest(train_features: NDArray[np.floating], features: NDArray[np.floating]) -> NDArray[np.int64]:
    """The nearest training study of each row by cosine: int64 ``[n]``.

    Args:
        train_features: ``[m d]``.
        features: ``[n d]``.

    Raises:
        ScoringError: if the shapes do not match, or there is no training study.
    """
    if train_features.ndim != 2 or features.ndim != 2 or train_features.shape[1] != features.shape[1]:
        raise ScoringError(f"features must be [m d] and [n d], got {train_features.shape} and {features.shape}.")
    if len(train_features) == 0:
        raise ScoringError("nearest training report: there are no training studies.")

    def unit(rows: NDArray[np.floating]) -> NDArray[np.float64]:
        table = np.asarray(rows, dtype=np.float64)
        length = np.linalg.norm(table, axis=1, keepdims=True)
        scaled: NDArray[np.float64] = np.divide(table, length, out=np.zeros_like(table), where=length > 0)
        return scaled

    patterns, states = unit(train_features), unit(features)
    block = max(1, 2**24 // len(patterns))
    found = [(states[i : i + block] @ patterns.T).argmax(axis=1) for i in range(0, len(states), block)]
    return np.concatenate(found).astype(np.int64) if found else np.zeros(0, dtype=np.int64)


def template_reports(predicted: Sequence[Sequence[bool]], places: Sequence[Places]) -> list[str]:
    """The reports of a template (:mod:`ammrg.text.template_report`), from what a classifier found.

    Args:
        predicted: for each of n studies, whether each of the 14 findings is present; "No Finding" is ignored.
        places: for each study, the places of findings that are known; places of absent findings are ignored.
    """
    return [
        template_report({FINDINGS[i]: known.get(FINDINGS[i], Place()) for i in ABNORMAL if row[i]})
        for row, known in zip(predicted, places, strict=True)
    ]


def exchanged(reports: Sequence[str], subject_ids: Sequence[str]) -> list[str]:
    """The reports exchanged: each study gets another patient's report (:func:`ammrg.partners.partners`).

    If the scores do not fall, the reports do not depend on their studies. This check needs no network.

    Raises:
        DataError: if all studies are of one patient.
    """
    return [reports[other] for other in partners(subject_ids, what="the scored studies")]


class Collapse(NamedTuple):
    """Figures that reveal a collapsed generator."""

    reports: int
    distinct: int
    """Number of different texts among the reports."""
    no_finding: float
    """Share of generated reports labelled No Finding, in [0, 1]."""
    no_finding_reference: float
    """The same share for the references."""
    length_ratio: float
    """Number of words of all generated reports, divided by that of the references."""
    empty: int
    """Number of generated reports without a word."""
    silent: float = 0.0
    """Share of generated reports that have words, but name none of the 13 abnormal findings, neither as present nor as
    absent, in [0, 1]. CheXpert's rule labels them No Finding, even a text of nonsense."""
    silent_reference: float = 0.0
    """The same share for the references."""


def collapse(
    references: Sequence[str],
    generated: Sequence[str],
    reference_labels: Sequence[Sequence[float]],
    generated_labels: Sequence[Sequence[float]],
) -> Collapse:
    """Measure how similar, how often normal, and how long the generated reports are."""
    words = [sum(len(text.split()) for text in texts) for texts in (generated, references)]
    labels = [np.asarray(rows, dtype=np.float64) for rows in (generated_labels, reference_labels)]
    shares = [float((rows[:, NO_FINDING] == POSITIVE).mean()) for rows in labels]
    blank = [np.array([*map(is_blank, texts)]) for texts in (generated, references)]
    silent = [
        float(np.mean(np.isnan(rows[:, ABNORMAL]).all(axis=1) & ~empty))
        for rows, empty in zip(labels, blank, strict=True)
    ]
    return Collapse(
        reports=len(generated),
        distinct=len({normalise(text) for text in generated}),
        no_finding=shares[0],
        no_finding_reference=shares[1],
        length_ratio=words[0] / max(1, words[1]),
        empty=int(blank[0].sum()),
        silent=silent[0],
        silent_reference=silent[1],
    )


def warnings(figures: Collapse) -> list[str]:
    """Warnings about these figures, each with a title in capitals; empty if all is well."""
    found = []
    if figures.reports > 1 and figures.distinct == 1:
        found.append(f"{ONE_TEXT}: all {figures.reports} reports are the same.")
    elif figures.reports >= 20 and figures.distinct < 0.1 * figures.reports:
        found.append(f"FEW DIFFERENT TEXTS: only {figures.distinct} of {figures.reports} reports are different.")
    if figures.no_finding >= 0.95 and figures.no_finding_reference <= figures.no_finding - 0.1:
        shares = f"{figures.no_finding:.0%} of the reports, but {figures.no_finding_reference:.0%} of the references"
        found.append(f"TOO OFTEN NORMAL: {shares}, say No Finding.")
    if figures.silent >= figures.silent_reference + 0.2:
        shares = f"{figures.silent:.0%} of the reports, but {figures.silent_reference:.0%} of the references"
        found.append(f"SAYS NOTHING: {shares}, name no finding at all; such a report counts as No Finding.")
    if figures.empty:
        counts = f"{figures.empty} of {figures.reports} reports"
        found.append(
            f"EMPTY REPORTS: {counts} are empty: an empty cell, null, or a word such as nan in place of a text."
        )
    if not 0.6 <= figures.length_ratio <= 1.6:
        found.append(f"LENGTHS FAR OFF: reports are {figures.length_ratio:.2f} times as long as the references.")
    return found
