"""The figures of docs/labeler.md are what the labeler reads today."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from ammrg.text.labeler import label
from benchmarks import labeler
from benchmarks.labelled_sentences import SENTENCES, misread, read
from tests.worked_table import prose, worked_rows

KINDS = {
    "forms": "structured",
    "lists with": "lists",
    "change and": "change",
    "devices and": "devices",
    "doubt": "doubt",
    "capitals": "capitals",
    "British": "spelling",
    "comparison": "comparison",
    "double": "double negation",
    "negation after": "after",
    "where a negation": "scope",
}
"""Start of a row -> the kind in the file of sentences."""


def test_sentences_read_right_by_kind() -> None:
    asked, held_out = read(SENTENCES), read(SENTENCES.with_name("held_out_sentences.csv"))
    rows = worked_rows("labeler", "| kind | sentences | before | today | held out | first reading |")
    for name, sentences, _, today, later, _ in rows[:-1]:
        (kind,) = (kind for start, kind in KINDS.items() if name.startswith(start))
        own = [each for each in asked if each.kind == kind]
        assert (int(sentences), int(today)) == (len(own), sum(not misread(each) for each in own)), name
        assert int(later) == sum(each.kind == kind for each in held_out), name
    assert len(rows[:-1]) == len(KINDS)
    right = [sum(not misread(each) for each in part) for part in (asked, held_out)]
    assert [rows[-1][i] for i in (1, 3, 4)] == [str(len(asked)), str(right[0]), str(len(held_out))]
    assert f"today's {right[1]}." in prose("labeler")


@pytest.mark.skipif(not (labeler.RAW / "chexpert_labels.csv").is_file(), reason="no IU X-Ray here")
def test_agreement_with_the_labels_of_real_reports() -> None:
    studies = [study for study in labeler.read(labeler.RAW) if study.part != "train"]
    assert f"on the {len(studies)} studies that its phrases were not tuned on" in prose("labeler")
    reference = np.array([study.labels for study in studies])
    readings = {
        chexpert: np.array([label(study.text, as_chexpert=chexpert) for study in studies]) for chexpert in (False, True)
    }
    found = {value: labeler.agreement(reference, readings[True], value) for value in (1.0, -1.0, 0.0)}
    for name, positive, uncertain, negative in worked_rows("labeler", "| finding | positive P / R / F1 (n) |"):
        *scores, support = found[1.0][name]
        assert positive == f"{' / '.join(f'{score:.2f}'.removeprefix('0') for score in scores)} ({support})", name
        for cell, value in ((uncertain, -1.0), (negative, 0.0)):
            *_, f1, support = found[value][name]
            assert cell == (f"{f1:.2f}".removeprefix("0") if support else "-") + f" ({support})", name
    for row, reading in zip(
        worked_rows("labeler", "| reading | micro F1 on positives, 14 |"), (False, True), strict=True
    ):
        held = labeler.agreement(reference, readings[reading], 1.0)
        assert [float(cell) for cell in row[1:3]] == [round(held[name][2], 3) for name in ("micro 14", "micro 13")]
        weakest = min((score[2], name) for name, score in held.items() if score[3] >= 20)
        name, shown = row[3].rsplit(" ", 1)
        assert name == weakest[1]
        assert math.isclose(float(shown), weakest[0], abs_tol=0.0051)
    parts = Counter(study.part for study in studies)
    assert (
        f"({parts['val']} of validation, {parts['test']} of test, {parts['csv_only']} only in the CSV pair)"
        in prose("labeler")
    )
