"""The phantom written in each real layout and prepared by the real command equals the phantom."""

from __future__ import annotations

import numpy as np
import pytest

from ammrg.imaging.reading import read_film
from ammrg.text.cleaning import clean
from datamodules.prepared import load_split
from datamodules.sources.mimic_cxr_reports import texts_of
from datamodules.sources.phantom import generate, layouts
from datamodules.sources.phantom.plan import plan_study
from datamodules.sources.phantom.sentences import write_report
from experiments.__main__ import main

WRITERS = {
    "iu_xray": layouts.write_iu_xray,
    "mimic_cxr": layouts.write_mimic_cxr,
    "chexpert_plus": layouts.write_chexpert_plus,
}


@pytest.mark.parametrize("dataset", WRITERS)
def test_layout_and_back(tmp_path, dataset):
    studies = list(generate({"train": 10, "val": 4, "test": 4}, seed=1, size=64))
    WRITERS[dataset](tmp_path / "raw", studies)
    out = tmp_path / "out"
    assert (
        main(["prepare", "--dataset", dataset, "--raw", str(tmp_path / "raw"), "--out", str(out), "--size", "64"]) == 0
    )
    splits = [split for split in ("train", "val", "test") if list(out.glob(f"{split}-*.parquet"))]
    rows = {row["report"]: row for split in splits for row in load_split(out, split)}
    assert len(rows) == len(studies)
    for study in studies:
        row = rows[clean(study.findings)]
        assert study.study_id in row["study_id"] or study.subject_id in row["study_id"]
        np.testing.assert_array_equal(row["labels"], np.float32(study.labels))
        assert (row["impression"], row["indication"]) == (study.impression, study.indication)
        # CheXpert Plus has no test part: val and test both become its "valid", which is read as test.
        expected = study.split if dataset != "chexpert_plus" or study.split == "train" else "test"
        assert row["split"] == expected or (dataset == "chexpert_plus" and row["split"] == "val")
        drawn = {view.projection: read_film(view.image) for view in study.views}
        for projection, data in zip(row["projections"], row["images"], strict=True):
            difference = np.abs(read_film(data).astype(int) - drawn[projection].astype(int)).mean()
            assert difference < 4  # grey levels lost by at most two JPEG compressions


def test_every_phantom_report_survives_mimics_line_breaks():
    studies = list(generate({"train": 1}, size=32))
    for number in range(300):
        report = write_report(plan_study("train", number, 0))
        study = studies[0]._replace(
            **{name: getattr(report, name) for name in ("findings", "impression", "indication")}
        )
        back = texts_of(layouts.mimic_report(study), "50000000")
        assert (back.findings, back.impression) == (report.findings, report.impression)
