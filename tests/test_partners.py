"""Partners: studies of other patients, each study once where that can be."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from ammrg.errors import DataError
from ammrg.partners import partners

MIMIC_LIKE = [f"p{patient}" for patient, studies in enumerate([5, 1, 7, 2, 2, 9, 1, 1, 4]) for _ in range(studies)]


@pytest.mark.parametrize(
    "subjects",
    [
        ["a", "b"],
        [f"p{row}" for row in range(40)],
        MIMIC_LIKE,
        ["a"] * 5 + ["b"] * 5,
        ["a", "b"] * 6 + ["c"],
        ["", "", ""],
    ],
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_everyone_has_another_patients_study_and_each_is_taken_once(subjects: list[str], seed: int) -> None:
    found = partners(subjects, seed=seed)
    assert all(subjects[row] != subjects[other] or not subjects[row] for row, other in enumerate(found))
    assert (found != np.arange(len(subjects))).all()
    assert sorted(found) == list(range(len(subjects)))


def test_a_patient_with_most_of_the_studies_meets_all_others_equally_often() -> None:
    subjects = ["a", "a", "b", "a", "a", "a", "c", "a", "a"]
    found = partners(subjects)
    assert all(subjects[row] != subjects[other] for row, other in enumerate(found))
    met = Counter(int(other) for row, other in enumerate(found) if subjects[row] == "a")
    assert sorted(met) == [2, 6]
    assert max(met.values()) - min(met.values()) <= 1


def test_the_table_is_fixed_and_drawn() -> None:
    subjects = [f"p{row}" for row in range(40)]
    assert np.array_equal(partners(subjects), partners(subjects))
    assert not np.array_equal(partners(subjects), partners(subjects, seed=1))
    assert len(set(partners(subjects) - np.arange(40))) > 10  # no mere shift


def test_partners_lie_in_their_group_or_beside_it() -> None:
    subjects = [f"p{row // 2}" for row in range(16)] + ["x"] * 16 + [f"q{row}" for row in range(32)] + ["y"] * 16
    groups = np.repeat(np.arange(5), 16)
    found = partners(subjects, groups=groups)
    assert all(subjects[row] != subjects[other] for row, other in enumerate(found))
    assert sorted(found) == list(range(80))
    assert (groups[found[:16]] == 0).all()
    assert set(groups[found[16:48]]) == {1, 2}  # the group of one patient and the one after it
    assert set(groups[found[48:]]) == {3, 4}  # the last has nobody after it


@pytest.mark.parametrize("subjects", [[], ["a"], ["a", "a", "a"]])
def test_one_patient_has_no_partner(subjects: list[str]) -> None:
    with pytest.raises(DataError, match=rf"the val split: {len(subjects)} of . patients?, but exchanging"):
        partners(subjects, what="the studies of the val split")
