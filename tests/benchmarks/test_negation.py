"""The comparison of negation by libraries: what it asks, and what it says where they are absent."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from ammrg.errors import SettingsError
from ammrg.findings import FINDINGS
from ammrg.text.labeler import mentions, names_abnormality
from benchmarks.negation import answers, main


def test_what_names_an_abnormality() -> None:
    found = {
        m.phrase: names_abnormality(m) for m in mentions("Heart size is normal. Vascular congestion. No effusion.")
    }
    assert found == {"Heart size": False, "Vascular congestion": False, "effusion": True}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Two studies outside the annotation, so that both count as held out."""
    texts = {"1": "Small effusion. Heart size is normal.", "2": "No effusion."}
    (tmp_path / "annotation.json").write_text(json.dumps({"train": [], "val": [], "test": []}))
    with (tmp_path / "indiana_reports.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["uid", "findings"], *texts.items()])
    with (tmp_path / "chexpert_labels.csv").open("w", newline="") as file:
        rows = {"1": {"Pleural Effusion": 1.0, "Cardiomegaly": 0.0}, "2": {"Pleural Effusion": 0.0}}
        csv.writer(file).writerows(
            [["uid", *FINDINGS], *([uid, *(row.get(name, "") for name in FINDINGS)] for uid, row in rows.items())]
        )
    return tmp_path


def test_without_libraries_ours_alone_is_told(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(raw)]) == 0
    *told, result = capsys.readouterr().out.splitlines()
    assert "left out: negspacy needs --negspacy PYTHON" in told
    (case,) = json.loads(result)["cases"]
    assert (case["positive_f1"], case["negative_f1"]) == (1.0, 1.0)


def test_a_python_without_the_library_is_named() -> None:
    with pytest.raises(SettingsError, match=r"negspacy failed in .*No module named 'spacy'"):
        answers(Path(sys.executable), "negspacy", mentions("No effusion."))
