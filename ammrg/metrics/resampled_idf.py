"""CIDEr with each resample's own idf: a bootstrap of the whole scorer, to check the fixed idf.

All other intervals keep the idf of the full reference set. A study's CIDEr is then one number, and a thousand resamples
are one matrix product. Here every resample counts its own documents; n-grams are indexed once. Values equal
pycocoevalcap's on a corpus that repeats each study as often as it was drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ammrg.metrics.cider import cider
from ammrg.metrics.ngrams import PairedTexts

Floats = NDArray[np.float64]


def idf_difference(references: Sequence[str], hypotheses: Sequence[str], weights: Floats) -> dict[str, float]:
    """The effect of a fixed idf on CIDEr, over the resamples ``weights [r n]``.

    Returns:
        ``resamples``; the standard deviations ``fixed_sd`` and ``recomputed_sd`` of CIDEr over them;
        ``mean_difference`` (recomputed minus fixed) and ``largest_difference`` (absolute).
    """
    plain, *drawn = cider(PairedTexts(references, hypotheses), np.concatenate([np.ones((1, len(references))), weights]))
    totals = weights.sum(axis=1)
    each = np.array([row @ values for row, values in zip(weights, drawn, strict=True)]) / totals
    fixed = weights @ plain / totals
    difference = each - fixed
    return {
        "resamples": len(weights),
        "fixed_sd": float(fixed.std()),
        "recomputed_sd": float(each.std()),
        "mean_difference": float(difference.mean()),
        "largest_difference": float(np.abs(difference).max()),
    }
