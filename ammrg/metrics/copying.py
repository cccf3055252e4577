"""How much of a report stands verbatim in a report that its memory brought back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ammrg.partners import partners
from ammrg.text.cleaning import normalise

RUN = 8
"""Words in a row that count as copied: longer than what any two reports share by habit ("no pleural effusion or")."""


class Copying(NamedTuple):
    """Means over the studies with retrieved reports; shares in [0, 1]."""

    studies: int
    share: float
    """Of a report's words, those that stand within a run of :data:`RUN` words of one retrieved report."""
    whole: float
    """Of the reports, those that are one of their retrieved reports word for word."""
    share_of_others: float | None
    """The same share with what another patient's study retrieved: how much two strangers share by habit; None where
    there is one patient only."""


def copied_share(text: str, sources: Sequence[str], run: int = RUN) -> float:
    """The largest share of a text's words that stands in runs of one of the sources; both as words and spaces.

    A text shorter than a run counts as one run.
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
    """Measure how far reports are copies of what was retrieved for them.

    Args:
        generated: n reports.
        retrieved: the texts retrieved for each of them; empty where none were.
        subject_ids: their patients.
        run: words in a row that count as copied.

    Returns:
        None where no study has retrieved reports.
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
