"""Faithfulness: does a report say what the network that wrote it found?

The network's table holds, of the 13 abnormal findings, those whose probability is above its threshold. It is compared
with what the report affirms, by the labeler; uncertain and denied findings are not affirmed. References play no part.

- ``said_f1``: micro F1 over pairs (study, finding);
- ``said_missing``: the share of the tables' findings that the reports do not affirm;
- ``said_invented``: the share of the affirmed findings that are not in the tables.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ammrg.errors import ScoringError
from ammrg.findings import ABNORMAL, FINDINGS, NEGATIVE, UNCERTAIN
from ammrg.metrics import bootstrap
from ammrg.metrics.clinical import positives
from ammrg.metrics.quotient import quotient

Floats = NDArray[np.float64]
Statistics = dict[str, Floats]
"""``found`` (in the table), ``said`` (affirmed), ``both``, ``denied`` (in the table, and the report denies it) and
``hedged`` (not in the table, and the report calls it possible): 0 or 1, ``[n 13]`` each. Empty
where a study has no table."""

NAMES: tuple[str, ...] = tuple(FINDINGS[i] for i in ABNORMAL)
KEYS = ("said_f1", "said_missing", "said_invented")
FEWEST_FINDINGS = 40
"""With fewer findings in the tables there is no verdict."""


def faithfulness_statistics(found: Sequence[Collection[str]], labels: ArrayLike) -> Statistics:
    """Per-study tables and what is said of them.

    Args:
        found: the names of the abnormal findings in the table of each of n studies.
        labels: ``[n 14]`` of the generated reports: 1 affirmed, 0 denied, -1 uncertain, NaN not mentioned.

    Raises:
        ScoringError: if the lengths differ, or there are no studies.
    """
    said = positives(labels, "neg")[:, list(ABNORMAL)]
    if len(found) != len(said):
        raise ScoringError(f"faithfulness: {len(found)} tables of findings, but {len(said)} generated reports.")
    if not len(said):
        raise ScoringError("faithfulness: no studies to score.")
    table = np.array([[name in each for name in NAMES] for each in found])
    read = np.asarray(labels, dtype=np.float64)[:, list(ABNORMAL)]
    denied, hedged = table & (read == NEGATIVE), ~table & (read == UNCERTAIN)
    named = {"found": table, "said": said, "both": table & said, "denied": denied, "hedged": hedged}
    return {name: values.astype(np.float64) for name, values in named.items()}


def weighted_scores(statistics: Statistics, weights: Floats) -> dict[str, Floats]:
    """The measures under study weights.

    Args:
        statistics: from :func:`faithfulness_statistics`, n studies.
        weights: float64 ``[r n]``, >= 0; a row of ones gives the plain score, a row of bootstrap counts a resample.

    Returns:
        key -> ``[r]`` in [0, 1], for each of :data:`KEYS`; empty if the statistics are. A measure without anything to
        count is 0 here; :func:`undefined` names it.
    """
    if not statistics:
        return {}
    found, said, both = (weights @ statistics[name].sum(axis=1) for name in ("found", "said", "both"))
    return {
        "said_f1": quotient(2 * both, found + said),
        "said_missing": quotient(found - both, found),
        "said_invented": quotient(said - both, said),
    }


def undefined(statistics: Statistics) -> set[str]:
    """The keys of the measures that have nothing to count (n = 0); none if there are no statistics."""
    if not statistics:
        return set()
    found, said = (bool(statistics[name].any()) for name in ("found", "said"))
    defined = {"said_f1": found or said, "said_missing": found, "said_invented": said}
    return {key for key, is_defined in defined.items() if not is_defined}


def finding_counts(statistics: Statistics) -> dict[str, Any]:
    """What stands behind the measures.

    Returns:
        ``found``, ``said``, ``both``, ``denied``, ``hedged``: the number of pairs (study, finding); ``varies``: whether
        any two studies have different tables; ``findings``: name -> the same five numbers of this finding, and
        ``missing``, ``missing_share`` (of found), ``invented``, ``invented_share`` (of said). A share of nothing is
        None.
    """
    sums = {name: table.sum(axis=0).astype(int) for name, table in statistics.items()}
    findings = {}
    for i, name in enumerate(NAMES):
        row = {part: int(values[i]) for part, values in sums.items()}
        missing, invented = row["found"] - row["both"], row["said"] - row["both"]
        findings[name] = {
            **row,
            "missing": missing,
            "missing_share": missing / row["found"] if row["found"] else None,
            "invented": invented,
            "invented_share": invented / row["said"] if row["said"] else None,
        }
    varies = bool((statistics["found"] != statistics["found"][0]).any())
    return {**{name: int(values.sum()) for name, values in sums.items()}, "varies": varies, "findings": findings}


def f1_above(ours: Statistics, others: Statistics, weights: Floats) -> Mapping[str, float]:
    """``said_f1`` of some reports minus that of others for the same tables: ``{value, low, high, error}``.

    Args:
        ours: of the reports.
        others: of other reports for the same studies.
        weights: ``[r n]`` of :func:`ammrg.metrics.bootstrap.patient_weights`, r > 0.
    """
    gaps = bootstrap.paired_difference(partial(weighted_scores, ours), partial(weighted_scores, others), weights)
    return gaps["said_f1"]
