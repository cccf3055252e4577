"""A study read at another operating point: other thresholds everywhere, the same film and memories."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ammrg.commands.describe import main
from ammrg.errors import CheckpointError, SettingsError
from ammrg.findings import FINDINGS
from ammrg.inference.report_generator import ReportGenerator
from ammrg.studies.decoding import decode_study
from ammrg.studies.grouping import find_studies
from ammrg.thresholds import is_predicted
from tests.tiny_export import random_model, reseal, with_curve, write


@pytest.fixture(scope="module")
def turnable(llm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = random_model(llm_folder, finding_tokens=True, instruction="{findings} Write the findings.")
    model.network.naming_thresholds.copy_(model.network.classifier.thresholds)
    return write(tmp_path_factory.mktemp("exported") / "turnable", with_curve(model))


@pytest.fixture(scope="module")
def reader(turnable: Path) -> ReportGenerator:
    return ReportGenerator.from_pretrained(turnable, device="cpu")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("films") / "front.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 80), np.uint8)).save(path)
    return path


def present(described: dict[str, object]) -> set[str]:
    findings, thresholds = described["findings"], described["thresholds"]
    assert isinstance(findings, dict)
    assert isinstance(thresholds, dict)
    return {name for name in FINDINGS[:-1] if is_predicted(findings[name], thresholds[name])}


def test_more_findings_are_found_and_named_the_more_sensitive_the_reading(
    reader: ReportGenerator, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    write_reports = reader.network.language_model.generate
    monkeypatch.setattr(
        reader.network.language_model,
        "generate",
        lambda tokens, instructions, **rest: (
            told.append(instructions[0]) or write_reports(tokens, instructions, **rest)
        ),
    )
    settings = (0, "sensitive", 0.5, "specific", 1.0)
    described = [reader.describe(film, operating_point=each).as_json() for each in settings]
    found = [present(each) for each in described]
    assert all(less <= more for more, less in itertools.pairwise(found))
    assert len(found[0]) > len(found[2]) > len(found[4])
    for names, instruction in zip(found, told, strict=True):
        assert all((name.lower() in instruction.lower()) == (name in names) for name in FINDINGS[:-1])
    assert [each["operating_point"]["setting"] for each in described] == [0, 0.25, 0.5, 0.75, 1]
    assert [bool(each["operating_point"]["sentence"]) for each in described] == [True, True, False, True, True]
    assert all(each["findings"] == described[0]["findings"] for each in described)
    assert all(each["reports"] == described[0]["reports"] for each in described)  # the memories are asked the same
    assert len({each["made_from"]["model"] for each in described}) == 5
    assert described[2]["made_from"]["model"] == reader.fingerprint


def test_balanced_is_what_the_model_without_a_curve_says(reader: ReportGenerator, film: Path) -> None:
    before = reader._replace(curve=None).describe(film).as_json()
    assert reader.describe(film, operating_point="balanced").as_json() == before
    assert reader.describe(film).as_json() == before


def test_studies_of_several_settings_in_one_pass_are_read_as_each_alone(reader: ReportGenerator, film: Path) -> None:
    (study,) = find_studies([film]).studies
    prepared = [reader.prepare(decode_study(study), "", each) for each in (0.1, 0.5, 0.9)]
    together = reader.describe_prepared(prepared)
    for each, alone in zip(together, prepared, strict=True):
        (single,) = reader.describe_prepared([alone])
        assert (each.report, each.thresholds, each.model) == (single.report, single.thresholds, single.model)
    assert together[0].thresholds != together[1].thresholds != together[2].thresholds


def test_a_folder_without_a_curve_is_read_balanced_and_says_why_not_otherwise(
    turnable: Path, film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(turnable, tmp_path / "copy"))
    reseal(copy, lambda config: config.pop("operating_curve"))
    old = ReportGenerator.from_pretrained(copy, device="cpu")
    assert old.describe(film).report
    with pytest.raises(SettingsError, match=r"^operating point 0\.25: this model has no operating curve, because an"):
        old.describe(film, operating_point="sensitive")
    with pytest.raises(SettingsError, match="operating point: found 2"):
        old.describe([[film], [film]], operating_point=2)
    words = [str(film), "--model", str(copy), "--out", str(tmp_path / "out")]
    with pytest.raises(SettingsError, match="no operating curve"):
        main([*words, "--operating-point", "specific"])
    assert not (tmp_path / "out").exists()
    assert main(words) == 0
    capsys.readouterr()
    reseal(copy, lambda config: config.update(operating_curve={"settings": 3}))
    with pytest.raises(CheckpointError, match=r"operating_curve has the settings 3.*export the run again"):
        ReportGenerator.from_pretrained(copy, device="cpu")


def test_the_command_describes_again_at_another_setting_and_not_at_the_same(
    turnable: Path, film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "films").mkdir()
    shutil.copy(film, tmp_path / "films")
    words = [str(tmp_path / "films"), "--model", str(turnable), "--out", str(tmp_path / "out")]

    def described(*more: str) -> tuple[str, dict[str, object]]:
        assert main([*words, *more]) == 0
        (line,) = (tmp_path / "out" / "reports.jsonl").read_text().splitlines()
        return capsys.readouterr().err, json.loads(line)

    told, balanced = described()
    assert "before" not in told
    told, sensitive = described("--operating-point", "sensitive")
    assert "before" not in told
    assert present(balanced) < present(sensitive)
    told, again = described("--operating-point", "0.25")
    assert "(1 of them before)" in told
    assert again == sensitive


def test_what_is_recalled_does_not_depend_on_the_setting(reader: ReportGenerator, film: Path) -> None:
    (study,) = find_studies([film]).studies
    batch = reader.prepare(decode_study(study)).batch
    with torch.inference_mode():
        shown = [reader.network.prompt(batch, reading=reader._reading([each])).states for each in (0.5, 0.0)]
    assert torch.equal(*shown)
