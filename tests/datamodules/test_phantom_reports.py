"""The phantom's plans and reports: prevalence, wordings, and texts that agree with the labels."""

from collections import Counter

import numpy as np
import pytest

from ammrg.findings import ABNORMAL, FINDINGS, NO_FINDING, no_finding_label
from ammrg.text.labeler import label
from datamodules.sources.phantom import VERSIONS, placed_wordings, plan_study, wordings
from datamodules.sources.phantom.sentences import write_report

COUNT = 1500


@pytest.fixture(scope="module", params=VERSIONS)
def studies(request):
    plans = [plan_study("train", index, version=request.param) for index in range(COUNT)]
    return [(plan, write_report(plan)) for plan in plans]


@pytest.fixture(scope="module")
def labels(studies):
    return np.array([report.labels for _, report in studies])


def test_prevalence(labels):
    for finding in ABNORMAL:
        assert 0.08 <= (labels[:, finding] == 1).mean() <= 0.25, FINDINGS[finding]
        assert 0.01 <= (labels[:, finding] == -1).mean() <= 0.045, FINDINGS[finding]
        assert (labels[:, finding] == 0).any(), FINDINGS[finding]
        assert np.isnan(labels[:, finding]).any(), FINDINGS[finding]
    assert 0.25 <= (labels[:, NO_FINDING] == 1).mean() <= 0.35


def test_findings_occur_together_as_in_practice(labels):
    positive = labels == 1
    for one, other in (
        ("Edema", "Cardiomegaly"),
        ("Cardiomegaly", "Pleural Effusion"),
        ("Pneumonia", "Consolidation"),
        ("Pneumonia", "Lung Opacity"),
        ("Atelectasis", "Support Devices"),
        ("Pneumothorax", "Fracture"),
    ):
        a, b = positive[:, FINDINGS.index(one)], positive[:, FINDINGS.index(other)]
        assert b[a].mean() > 1.5 * b.mean(), (one, other)


def test_no_finding_follows_the_rule(labels):
    for row in labels:
        np.testing.assert_equal(row[NO_FINDING], no_finding_label(row))


def test_the_labeler_reads_the_labels_from_the_findings_and_no_contradiction_from_the_impression(studies):
    for _, report in studies[:500]:
        np.testing.assert_array_equal(label(report.findings), report.labels, err_msg=report.findings)
        impression = label(report.impression)
        for finding in ABNORMAL:
            stated = report.labels[finding]
            if stated in (1.0, -1.0):
                assert impression[finding] == stated, report.impression
            else:
                assert impression[finding] not in (1.0, -1.0), report.impression


@pytest.mark.parametrize("book", [wordings, placed_wordings])
def test_at_least_six_wordings_of_each_state(book):
    assert {key.split("/")[0] for key in book.PRESENT} == {FINDINGS[i] for i in ABNORMAL}
    for key, options in book.PRESENT.items():
        assert len(set(options)) >= 6, key
    for finding in ABNORMAL:
        absent = {
            text for findings, options in wordings.ABSENT.items() if FINDINGS[finding] in findings for text in options
        }
        assert len(absent) >= 6, FINDINGS[finding]
    assert len(set(wordings.UNCERTAIN)) >= 6
    assert set(book.UNCERTAIN_NOUNS) == set(book.PRESENT) == set(book.SHORT)


def test_wordings_are_of_skewed_frequency(studies):
    clear = Counter(text for _, report in studies for text in wordings.NORMAL_LUNGS if text in report.findings)
    counts = [count for _, count in clear.most_common()]
    assert len(counts) >= 6
    assert counts[0] > 2.5 * counts[5]


def test_reports_of_version_1_name_the_side_of_a_drawn_effusion():
    seen = 0
    for index in range(COUNT):
        plan = plan_study("train", index, version=1)
        report = write_report(plan)
        for sign in plan.signs:
            if sign.finding == "Pleural Effusion" and len(plan.signs) == 1:
                other = "left" if sign.side == "right" else "right"
                assert sign.side in report.findings.lower()
                assert other not in report.findings.lower()
                seen += 1
    assert seen > 3


def test_lengths_and_patients(studies):
    words = np.array([len(f"{report.findings} {report.impression}".split()) for _, report in studies])
    assert 30 <= np.median(words) <= 90
    assert words.max() < 150
    assert all(report.indication and report.impression for _, report in studies)
    per_patient = Counter(plan.subject_id for plan, _ in studies)
    assert set(per_patient.values()) == {1, 2}
    assert len({plan.study_id for plan, _ in studies}) == COUNT
    others = {plan_study(split, index).subject_id for split in ("val", "test") for index in range(200)}
    assert not others & set(per_patient), "a patient stands in two splits"
