"""How much of a report is copied word for word from the reports that its memory retrieved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ammrg.partners import partners
from ammrg.text.cleaning import normalise

RUN = 8
"""Fewest words in a row that count as copied; stock phrases ("no pleural effusion or") are shorter."""


class Copying(NamedTuple):
    """Means over the studies with retrieved reports; shares are in [0, 1]."""

    studies: int
    """Number of studies with retrieved reports."""
    share: float
    """Share of a report's words inside a run of at least :data:`RUN` words of one retrieved report."""
    whole: float
    """Share of reports that equal one of their retrieved reports."""
    share_of_others: float | None
    """``share``, but with the reports retrieved for another patient's study: the overlap of unrelated reports. None if
    there is only one patient."""


def copied_share(text: str, sources: Sequence[str], run: int = RUN) -> float:
    """The share of a text's words that is copied in runs from one source; the largest over all sources, in [0, 1].

    Texts are words separated by spaces. A text shorter than a run is searched as a whole.
    """
    words = text.split()
    if not words:
        return 0.0
    length = min(run, len(words))
    best = 0.0
    for source in sources:
        theirs = source.split()
        known = {tuple(theirs[i : i + length]) for i in range(len(theirs) - length + 1)}
        covered = np.zeros(len(words), dtype=bool)
        for i in range(len(words) - length + 1):
            if tuple(words[i : i + length]) in known:
                covered[i : i + length] = True
        best = max(best, float(covered.mean()))
    return best


def copying(
    generated: Sequence[str], retrieved: Sequence[Sequence[str]], subject_ids: Sequence[str], run: int = RUN
) -> Copying | None:
    """Measure how much of the reports is copied from the reports retrieved for them.

    Args:
        generated: n reports.
        retrieved: the texts retrieved for each report; may be empty.
        subject_ids: the patient of each report.
        run: fewest words in a row that count as copied.

    Returns:
        None if no study has retrieved reports.
    """
    pairs = [
        (normalise(text), [normalise(each) for each in texts])
        for text, texts in zip(generated, retrieved, strict=True)
        if texts
    ]
    if not pairs:
        return None
    subjects = [subject for subject, texts in zip(subject_ids, retrieved, strict=True) if texts]
    others = partners(subjects) if len(set(subjects)) > 1 else None
    return Copying(
        studies=len(pairs),
        share=float(np.mean([copied_share(text, texts, run) for text, texts in pairs])),
        whole=float(np.mean([text in texts for text, texts in pairs])),
        share_of_others=None
        if others is None
        else float(
            np.mean([copied_share(text, pairs[row][1], run) for (text, _), row in zip(pairs, others, strict=True)])
        ),
    )
