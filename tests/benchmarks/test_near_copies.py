"""How often other patients' reports are near copies: the shares of known texts, and those of the page on IU X-Ray."""

from __future__ import annotations

import json
import os
import random
import re
from pathlib import Path

import pytest

from benchmarks import near_copies
from tests.datamodules.conftest import write_film, write_rows

ROOT = Path(__file__).parents[2]
IU_XRAY = Path(os.environ.get("AMMRG_IU_XRAY", ROOT.parent / "shared" / "data" / "iu_xray"))
LONG = " ".join(f"word{n}" for n in range(24))
TEXTS = [f"{LONG} one", f"{LONG} two", "The heart is large.", "The lungs are clear."]
PATIENTS = ["1", "2", "3", "3"]


def test_the_nearest_report_is_of_another_patient_and_counts_where_it_is_long() -> None:
    found = near_copies.nearest(TEXTS, PATIENTS)
    assert found == [TEXTS[1], TEXTS[0], "", ""]
    assert near_copies.share_copied(TEXTS, found, PATIENTS) == 0.5
    for text, patient in zip(near_copies.drawn(TEXTS, PATIENTS, random.Random(1)), PATIENTS, strict=True):
        assert PATIENTS[TEXTS.index(text)] != patient


def test_it_reads_raw_data_and_refuses_one_patient(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(f"{n}.png", text, patient) for n, (text, patient) in enumerate(zip(TEXTS, PATIENTS, strict=True))]
    for name, *_ in rows:
        write_film(tmp_path / "images" / name, 0)
    write_rows(tmp_path / "studies.csv", [("image", "report", "patient_id"), *rows])
    assert near_copies.main(["csv", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    (case,) = json.loads(shown.splitlines()[-1])["cases"]
    assert (case["reports"], case["nearest"]) == (4, 0.5)
    assert 0 < case["by_chance"] < 0.5
    assert "word1" not in shown
    write_rows(tmp_path / "studies.csv", [("image", "report", "patient_id"), *rows[2:]])
    with pytest.raises(SystemExit):
        near_copies.main(["csv", str(tmp_path)])
    assert "has reports of fewer than two patients" in capsys.readouterr().err


@pytest.mark.skipif(not IU_XRAY.is_dir(), reason="no copy of IU X-Ray")
def test_the_page_has_the_shares_of_iu_xray(capsys: pytest.CaptureFixture[str]) -> None:
    assert near_copies.main(["iu_xray", str(IU_XRAY)]) == 0
    (case,) = json.loads(capsys.readouterr().out.splitlines()[-1])["cases"]
    page = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    told = re.search(r"of its ([\d,]+) findings, ([\d.]+)% .*\n.* ([\d.]+)% where a system always retrieved", page)
    assert told is not None
    assert told.groups() == (f"{case['reports']:,}", f"{case['by_chance']:.2%}"[:-1], f"{case['nearest']:.1%}"[:-1])
