"""A study described: by the model itself, and by the command, which writes and prints the same."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ammrg.commands.describe import main
from ammrg.errors import CheckpointError, ReadError
from ammrg.findings import ABNORMAL, FINDINGS
from ammrg.inference.memory_note import memory_note
from ammrg.inference.report_generator import ReportGenerator
from ammrg.inference.shown_maps import shown_findings, shown_view
from ammrg.notice import NOTICE
from ammrg.types import Attribution, GeneratedReport


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, pixels = tmp_path_factory.mktemp("films"), np.random.default_rng(0)
    paths = [folder / "front.png", folder / "side.png"]
    for path in paths:
        Image.fromarray(pixels.integers(0, 256, (60, 50), np.uint8)).save(path)
    return paths


def test_a_description_is_the_network_s_own_report(
    model: ReportGenerator, films: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = model.describe(films, lateral=[2])
    report = model.network.generate(model.processor(films, ["frontal", "lateral"], study_id="front"))[0]
    assert (found.report, found.findings) == (report.text, report.findings)
    assert (found.regions, found.reports) == (report.regions, report.reports)
    assert list(found.thresholds.values()) == pytest.approx(model.network.classifier.thresholds.tolist())
    assert found.films == [str(path) for path in films]
    assert [film.pixels.shape for film in found.page.films] == [(48, 48), (48, 48)]
    assert not list(tmp_path.iterdir())
    assert model.describe([str(path) for path in films], lateral=[2]).as_json() == found.as_json()
    assert model.describe(films).findings != found.findings or model.describe(films).report != found.report


def test_films_that_are_not_there_are_named(model: ReportGenerator, films: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"gone.png: no such file"):
        model.describe([films[0], tmp_path / "gone.png"])
    with pytest.raises(ValueError, match="0 films"):
        model.describe([])


def test_the_command_writes_and_prints_what_the_model_says(
    exported: Path,
    films: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [*map(str, films), "--lateral", "2", "--model", str(exported)]
    assert main(words) == 0
    told = capsys.readouterr().out
    description = ReportGenerator.from_pretrained(exported).describe(films, lateral=[2])
    written = json.loads((tmp_path / "described" / "front" / "report.json").read_text())
    assert written == json.loads(json.dumps(description.as_json()))
    assert written["notice"] == NOTICE
    assert (tmp_path / "described" / "front" / "panel.png").stat().st_size > 0
    shown = (*description.page.reasons, *description.page.similar, description.memory.sentence)
    assert len(shown) > 2
    for line in (description.report, *shown, NOTICE, os.path.join("described", "front")):
        assert "".join(line.split()) in "".join(told.split())


def test_the_command_refuses_a_film_before_it_opens_the_model(films: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"gone.png"):
        main([str(tmp_path / "gone.png"), "--model", str(tmp_path)])
    with pytest.raises(CheckpointError, match="holds no exported report generator"):
        main([str(films[0]), "--model", str(tmp_path)])
    with pytest.raises(SystemExit):
        main([str(films[0])])


def test_maps_are_shown_of_findings_above_their_thresholds_else_of_the_likeliest() -> None:
    probabilities = [0.1] * len(FINDINGS)
    probabilities[3], probabilities[5], probabilities[-1] = 0.7, 0.9, 1.0
    assert FINDINGS[-1] == "No Finding"
    assert shown_findings(probabilities, [0.5] * 14) == [5, 3]
    assert shown_findings(probabilities, [0.9] * 14) == [5]
    assert shown_findings(probabilities, [0.0] * 14)[:3] == [5, 3, ABNORMAL[0]]
    assert shown_view(["lateral", "frontal", "frontal"]) == 1
    assert shown_view(["lateral", "unknown"]) == 0


def test_recalled_regions_are_listed_by_finding_with_their_place() -> None:
    region = Attribution("51", "Pneumonia", (0.1, 0.1, 0.2, 0.2), None, 0.31, ("left", "upper"), 7)
    other = region._replace(study_id="52", finding="Edema", weight=0.5, place=())
    report = GeneratedReport("1", "x", {}, [other], [], {"Pneumonia": [region, other]})
    shown = [memory_note(each, None).similar for each in (report, report._replace(recalled={}))]
    assert [case.line() for case in shown[0]] == ["0.31 for Pneumonia: left upper Pneumonia (51)"]
    assert [case.line() for case in shown[1]] == ["0.50 region of Edema (52)"]
