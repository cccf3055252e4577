"""Faithfulness against scikit-learn's F1, and against counts by hand."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from ammrg.errors import ScoringError
from ammrg.findings import ABNORMAL, FINDINGS, NO_FINDING
from ammrg.metrics import bootstrap
from ammrg.metrics.faithfulness import (
    KEYS,
    NAMES,
    f1_above,
    faithfulness_statistics,
    finding_counts,
    undefined,
    weighted_scores,
)


def drawn(count: int, seed: int) -> tuple[list[list[str]], list[list[float]]]:
    """Random tables of findings, and random labels of 14 findings."""
    draw = random.Random(seed)
    tables = [draw.sample(NAMES, draw.randint(0, 5)) for _ in range(count)]
    labels = [draw.choices((1.0, 0.0, -1.0, math.nan), (3, 3, 1, 6), k=14) for _ in range(count)]
    return tables, labels


def as_rows(tables: list[list[str]], labels: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Both as 0 and 1, ``[n 13]``, without this package's code."""
    truth = np.array([[int(name in table) for name in NAMES] for table in tables])
    return truth, np.array([[int(row[i] == 1) for i in ABNORMAL] for row in labels])


def test_measures_are_scikit_learns() -> None:
    tables, labels = drawn(50, 0)
    truth, said = as_rows(tables, labels)
    weights = bootstrap.patient_weights([str(i // 2) for i in range(50)], 20)
    found = weighted_scores(faithfulness_statistics(tables, labels), np.concatenate([np.ones((1, 50)), weights]))
    for row, counts in enumerate([np.ones(50, dtype=int), *weights.astype(int)]):
        pair = np.repeat(truth, counts, axis=0).ravel(), np.repeat(said, counts, axis=0).ravel()
        expected = f1_score(*pair), 1 - recall_score(*pair), 1 - precision_score(*pair)
        assert [found[key][row] for key in KEYS] == pytest.approx(expected)


def test_counts_by_finding_add_up() -> None:
    tables, labels = drawn(40, 1)
    truth, said = as_rows(tables, labels)
    found = finding_counts(faithfulness_statistics(tables, labels))
    assert (found["found"], found["said"], found["both"]) == (truth.sum(), said.sum(), (truth & said).sum())
    for i, name in enumerate(NAMES):
        row, label = found["findings"][name], np.array([each[ABNORMAL[i]] for each in labels])
        assert row["missing"] == (truth[:, i] > said[:, i]).sum()
        assert row["invented"] == (said[:, i] > truth[:, i]).sum()
        assert row["denied"] == (truth[:, i] * (label == 0)).sum()
        assert row["hedged"] == ((1 - truth[:, i]) * (label == -1)).sum()
        assert row["missing_share"] == pytest.approx(row["missing"] / truth[:, i].sum())
        assert row["invented_share"] == pytest.approx(row["invented"] / said[:, i].sum())
    assert found["varies"]


def test_no_finding_counts_on_neither_side() -> None:
    labels = [math.nan] * 14
    labels[NO_FINDING] = 1.0
    statistics = faithfulness_statistics([["No Finding"]], [labels])
    assert finding_counts(statistics)["said"] == finding_counts(statistics)["found"] == 0
    assert "No Finding" not in finding_counts(statistics)["findings"]


def test_nothing_to_count_is_undefined_and_no_division() -> None:
    nothing, edema = [math.nan] * 14, [math.nan] * 14
    edema[FINDINGS.index("Edema")] = 1.0
    for tables, labels, keys in (
        ([[], []], [nothing, nothing], set(KEYS)),
        ([["Edema"], []], [nothing, nothing], {"said_invented"}),
        ([[], []], [edema, nothing], {"said_missing"}),
        ([["Edema"], []], [edema, nothing], set()),
    ):
        statistics = faithfulness_statistics(tables, labels)
        assert undefined(statistics) == keys
        assert all(weighted_scores(statistics, np.ones((1, 2)))[key][0] == 0 for key in keys)
    row = finding_counts(faithfulness_statistics([[]], [nothing]))["findings"]["Edema"]
    assert (row["missing_share"], row["invented_share"]) == (None, None)


def test_without_tables_there_are_no_measures() -> None:
    assert weighted_scores({}, np.ones((1, 3))) == {}
    assert undefined({}) == set()


def test_exchanged_reports_are_below() -> None:
    tables, _ = drawn(60, 2)
    labels = [[1.0 if name in table else math.nan for name in FINDINGS] for table in tables]
    weights = bootstrap.patient_weights([str(i) for i in range(60)], 50)
    ours, others = (faithfulness_statistics(tables, rows) for rows in (labels, labels[1:] + labels[:1]))
    assert f1_above(ours, others, weights)["low"] > 0
    assert f1_above(ours, ours, weights)["low"] == 0


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(ScoringError, match="1 tables of findings, but 2 generated reports"):
        faithfulness_statistics([[]], [[math.nan] * 14] * 2)
