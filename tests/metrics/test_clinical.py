"""Clinical averages against scikit-learn."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from ammrg.errors import ScoringError
from ammrg.findings import FINDINGS
from ammrg.metrics import clinical
from ammrg.metrics.bootstrap import patient_weights, with_intervals


def random_labels(n: int, seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    labels = draw.choice([1.0, 0.0, -1.0, np.nan], p=[0.2, 0.3, 0.1, 0.4], size=(n, 14))
    labels[:, 11] = np.nan  # a finding with neither support nor predictions
    labels[: n // 10] = np.nan  # studies without a word
    return labels


@pytest.mark.parametrize("n", [1, 7, 300])
def test_equals_scikit_learn(n: int) -> None:
    reference, generated = random_labels(n, 0), random_labels(n, 1)
    ours = clinical.clinical_scores(reference, generated)
    assert tuple(ours) == clinical.KEYS
    for uncertain in ("neg", "pos"):
        values = (1.0, -1.0) if uncertain == "pos" else (1.0,)
        for name, index in clinical.SELECTIONS.items():
            truth, said = (np.isin(table[:, list(index)], values).astype(int) for table in (reference, generated))
            for average in clinical.AVERAGES:
                expected = precision_recall_fscore_support(
                    truth, said, average="samples" if average == "example" else average, zero_division=0
                )
                none = average == "micro" and not truth.any()
                for part, value in zip(clinical.PARTS, [float("nan")] * 3 if none else expected[:3], strict=True):
                    assert ours[f"clinical_{average}_{part}_{name}_{uncertain}"] == pytest.approx(
                        value, abs=1e-12, nan_ok=True
                    )


def test_resamples_without_a_positive_reference_are_left_out() -> None:
    reference = np.full((20, 14), np.nan)
    reference[0, FINDINGS.index("Edema")] = 1
    found = clinical.clinical_statistics(reference, reference)
    weights = patient_weights([str(n) for n in range(20)], 200)
    f1 = with_intervals(partial(clinical.weighted_scores, found), weights)["clinical_micro_f1_13_neg"]
    assert f1 == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert not clinical.undefined(found)


def test_averages_over_findings_that_the_references_do_not_affirm_are_undefined() -> None:
    none, some = np.full((3, 14), np.nan), np.full((3, 14), np.nan)
    none[:, FINDINGS.index("No Finding")], some[1, FINDINGS.index("Fracture")] = 1, 1
    without = clinical.undefined(clinical.clinical_statistics(none, some))
    assert without == {key for key in clinical.KEYS if "_13_" in key or "_5_" in key}
    without = clinical.undefined(clinical.clinical_statistics(some, none))
    assert without == {key for key in clinical.KEYS if "_5_" in key}  # a fracture is not one of the five


def test_by_hand() -> None:
    reference, generated = np.full((2, 14), np.nan), np.full((2, 14), np.nan)
    edema, effusion, none = (FINDINGS.index(name) for name in ("Edema", "Pleural Effusion", "No Finding"))
    reference[0, edema], reference[0, effusion], reference[1, none] = 1, -1, 1
    generated[0, edema], generated[0, effusion], generated[1, none] = 1, 1, 1
    scores = clinical.clinical_scores(reference, generated)
    assert scores["clinical_micro_precision_14_neg"] == pytest.approx(2 / 3)
    assert scores["clinical_micro_recall_14_neg"] == 1
    assert scores["clinical_micro_f1_14_pos"] == 1
    assert scores["clinical_micro_precision_13_neg"] == pytest.approx(1 / 2)
    assert scores["clinical_macro_f1_14_neg"] == pytest.approx(2 / 14)
    assert scores["clinical_macro_f1_5_pos"] == pytest.approx(2 / 5)
    assert scores["clinical_example_f1_14_neg"] == pytest.approx((2 / 3 + 1) / 2)


def test_weights_are_repeats() -> None:
    reference, generated = random_labels(20, 2), random_labels(20, 3)
    weights = np.random.default_rng(1).integers(0, 3, size=(1, 20)).astype(float)
    index = np.repeat(np.arange(20), weights[0].astype(int))
    weighted = clinical.weighted_scores(clinical.clinical_statistics(reference, generated), weights)
    repeated = clinical.clinical_scores(reference[index], generated[index])
    assert {key: value[0] for key, value in weighted.items()} == pytest.approx(repeated, abs=1e-12)


def test_finding_table_equals_scikit_learn() -> None:
    reference, generated = random_labels(100, 4), random_labels(100, 5)
    table = clinical.finding_table(reference, generated)
    precision, recall, f1, support = precision_recall_fscore_support(reference == 1, generated == 1, zero_division=0)
    for i, name in enumerate(FINDINGS):
        row = table[name]
        assert [row["precision"], row["recall"], row["f1"]] == pytest.approx([precision[i], recall[i], f1[i]])
        assert row["support"] == support[i]
    assert clinical.silent_findings(table) == ["Fracture"]


@pytest.mark.parametrize(
    ("reference", "generated", "message"),
    [
        (np.zeros((2, 13)), np.zeros((2, 13)), r"\[2, 13\]"),
        (np.zeros((2, 14)), np.zeros((3, 14)), "2 reference"),
        (np.zeros((0, 14)), np.zeros((0, 14)), "no studies"),
        (np.full((1, 14), 0.7), np.zeros((1, 14)), "threshold"),
    ],
)
def test_refuses_other_shapes_and_values(reference: np.ndarray, generated: np.ndarray, message: str) -> None:
    with pytest.raises(ScoringError, match=message):
        clinical.clinical_scores(reference, generated)
