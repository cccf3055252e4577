"""What is called a reason: in the note, in report.json, on the page, and in exports of every age."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ammrg.imaging.panel import draw_case
from ammrg.inference.description_output import print_description
from ammrg.inference.memory_note import UNKNOWN, RecalledCase, memory_note
from ammrg.inference.model_folder import seal
from ammrg.inference.report_generator import ReportGenerator
from ammrg.reasons import InfluenceThresholds
from ammrg.types import Attribution, GeneratedReport
from tests.tiny_export import random_model, write

LIMITS = InfluenceThresholds(0.5, 0.2, 100, 0.07)


def region(pattern: int, influence: float | None) -> Attribution:
    box = (0.1, 0.2, 0.3, 0.4)
    return Attribution(f"r{pattern}", "Edema", box, "Edema.", 0.25, ("left", "lower"), pattern, influence)


def report(pattern: int, influence: float | None) -> Attribution:
    return Attribution(f"t{pattern}", None, None, f"Text {pattern}.", 0.2, (), pattern, influence)


def written(regions: list[Attribution], reports: list[Attribution]) -> GeneratedReport:
    recalled = {f"finding {row}": [each, region(99, 9.0)] for row, each in enumerate(regions)}
    return GeneratedReport("s", "A text.", {}, [region(98, None)], reports, recalled)


def rows(cases: list[RecalledCase]) -> list[int]:
    return [case.pattern.pattern for case in cases]


def test_only_what_passes_the_threshold_of_its_memory_is_a_reason() -> None:
    note = memory_note(written([region(1, 0.51), region(2, 0.5)], [report(3, 0.4), report(4, None)]), LIMITS)
    assert (rows(note.reasons), rows(note.similar)) == ([1, 3], [2, 4])
    assert note.sentence == (
        "Recalled cases bear on this report: the reasons have more influence on its likelihood than 95 in 100 random "
        "cases (regions 0.50 nats, reports 0.20 nats). Its words may be the same without them."
    )
    assert [case.line() for case in [*note.reasons, note.similar[1]]] == [
        "0.25 for finding 0: left lower Edema (r1, influence +0.51): Edema.",
        "0.20 report of t3, influence +0.40: Text 3.",
        "0.20 report of t4: Text 4.",
    ]
    told = note.as_json()["patterns"]
    assert [(each["query"], each["pattern"]) for each in told] == [("finding 0", 1), (None, 3)]


def test_otherwise_no_recalled_case_bears_on_the_report() -> None:
    note = memory_note(written([region(1, -3.0)], [report(3, 0.1)]), LIMITS)
    assert note.reasons == []
    assert note.sentence.startswith("No recalled case bears on this report: none of them has more influence")
    assert note.as_json()["patterns"] == []
    assert note.as_json()["influence_threshold"] == {"regions": 0.5, "reports": 0.2, "studies": 100, "chance": 0.07}
    nothing = memory_note(GeneratedReport("s", "A text.", {}, [], []), LIMITS)
    assert nothing.sentence == "No recalled case bears on this report: nothing was recalled."


def test_without_a_threshold_nothing_is_a_reason() -> None:
    found = written([region(1, 9.0)], [report(3, 9.0)])
    for limits in (None, InfluenceThresholds(None, None, 5, 0.0)):
        note = memory_note(found, limits)
        assert (note.reasons, note.sentence) == ([], UNKNOWN)
        assert rows(note.similar) == [1, 3]


def test_without_findings_the_regions_of_all_queries_are_shown() -> None:
    note = memory_note(GeneratedReport("s", "A text.", {}, [region(98, None)], []), LIMITS)
    assert [case.line() for case in note.similar] == ["0.25 region of left lower Edema (r98): Edema."]
    without = RecalledCase(region(98, None)._replace(text=None), None)  # restricted data
    assert without.line() == "0.25 region of left lower Edema (r98)"


@pytest.mark.parametrize("value", [{}, [1], {"regions": "x"}, {**LIMITS._asdict(), "studies": None}])
def test_a_damaged_threshold_is_an_error(value: object) -> None:
    assert InfluenceThresholds.from_json(json.loads(json.dumps(LIMITS._asdict()))) == LIMITS
    with pytest.raises(ValueError, match="must have regions, reports, studies, chance, with numbers"):
        InfluenceThresholds.from_json(value)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 50), np.uint8)).save(path)
    return path


def test_a_description_measures_what_its_threshold_asks_for(
    llm_folder: Path, film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The threshold travels in the export; with one of 0 some case is a reason, with one of 99 nats none."""
    model = random_model(llm_folder)
    model.network.classifier.thresholds.copy_(torch.full((14,), 0.01))
    for limit in (-99.0, 99.0):
        limits = InfluenceThresholds(limit, limit, 100, 0.05)
        folder = write(tmp_path / f"export{limit}", model._replace(influence=limits))
        opened = ReportGenerator.from_pretrained(folder, device="cpu")
        assert opened.influence == limits
        found = opened.describe([film])
        said = json.loads(json.dumps(found.as_json()))
        measured = [listed[0]["influence"] for listed in said["recalled"].values()]
        assert measured
        assert None not in measured
        assert [each["influence"] is None for each in said["reports"]] == [False] * 3 + [True] * 2
        print_description(found)
        told = capsys.readouterr().out
        if limit > 0:
            assert said["reasons"]["patterns"] == []
            assert "No recalled case bears on this report" in said["reasons"]["sentence"]
            assert "\nreasons" not in told
        else:
            assert len(said["reasons"]["patterns"]) == min(6, len(said["recalled"])) + 3
            assert "\nreasons" in told
            assert "\nsimilar cases" not in told
        assert draw_case(found.page, tmp_path / "page.png").stat().st_size > 0


def test_an_export_of_an_earlier_release_says_that_it_is_not_known(
    llm_folder: Path, film: Path, tmp_path: Path
) -> None:
    folder = write(tmp_path / "old", random_model(llm_folder)._replace(influence=LIMITS))
    config = json.loads((folder / "config.json").read_text())
    del config["influence_threshold"]
    seal(folder, config)
    opened = ReportGenerator.from_pretrained(folder, device="cpu")
    assert opened.influence is None
    found = opened.describe([film])
    assert found.memory.sentence == UNKNOWN
    assert found.page.reasons == []
    assert found.page.similar
    assert all(each.influence is None for each in (*found.regions, *found.reports))
    again = write(tmp_path / "again", opened)
    assert "influence_threshold" not in json.loads((again / "config.json").read_text())
