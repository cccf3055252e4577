"""A report that says nothing ("nan", "---") counts as missing, in every layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datamodules.sources.phantom import generate, layouts
from datamodules.sources.reading import read_source
from datamodules.sources.source_reading import Section

EMPTY = ("nan", "None", "N/A", "---", ".", "No report.", "___", "XXXX XXXX")
LAYOUTS = {
    "iu_xray": (layouts.write_iu_xray, ("r2gen", "csv", "xml")),
    "mimic_cxr": (layouts.write_mimic_cxr, ("csv",)),
    "chexpert_plus": (layouts.write_chexpert_plus, ("csv",)),
}


def read(raw: Path, dataset: str, source: str, section: Section) -> tuple[int, object, list[str]]:
    """Number of studies, number without a text, and all texts."""
    reading = read_source(dataset, raw, source=source, section=section)
    studies = [study for part in reading.studies.values() for study in part]
    texts = [text for study in studies for text in (study.findings, study.impression, study.indication)]
    return len(studies), reading.notes["without_text"], texts


@pytest.mark.parametrize(("dataset", "source"), [(name, each) for name, (_, all_) in LAYOUTS.items() for each in all_])
def test_reports_that_say_nothing_are_left_out_and_counted(dataset: str, source: str, tmp_path: Path) -> None:
    drawn = list(generate({"train": 10, "val": 2, "test": 2}, seed=2, size=64))
    planted = [study._replace(findings=text) for study, text in zip(drawn, EMPTY, strict=False)]
    planted[0] = planted[0]._replace(indication="nan")
    LAYOUTS[dataset][0](tmp_path, [*planted, *drawn[len(planted) :]])
    kept, left_out, texts = read(tmp_path, dataset, source, "findings")
    assert (kept, left_out) == (len(drawn) - len(EMPTY), len(EMPTY))
    # With ``both``, a study without findings has the impression alone as its report, without "nan" before it.
    kept, left_out, texts = read(tmp_path, dataset, source, "both")
    assert (kept, left_out) == (len(drawn), 0)
    assert not set(EMPTY) & set(texts)


def test_an_annotation_that_says_nothing(tmp_path: Path) -> None:
    drawn = list(generate({"train": 10, "val": 2, "test": 2}, seed=2, size=64))
    layouts.write_iu_xray(tmp_path, drawn)
    path = tmp_path / "annotation.json"
    content = json.loads(path.read_text())
    for example, text in zip(content["train"], EMPTY, strict=False):
        example["report"] = text
    path.write_text(json.dumps(content))
    reading = read_source("r2gen", tmp_path)
    assert (len(reading.studies["train"]), reading.notes["without_text"]) == (10 - len(EMPTY), len(EMPTY))
