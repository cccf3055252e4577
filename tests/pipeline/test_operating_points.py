"""A run in miniature: its curve, its export, and its reports at other operating points and of another split."""

from __future__ import annotations

import itertools
import json
import shutil
import warnings
from pathlib import Path

import pytest
import torch

from ammrg.findings import ABNORMAL, FINDINGS
from ammrg.inference.report_generator import ReportGenerator
from ammrg.metrics import operating_curve as measuring
from ammrg.networks.finding_loss import training_targets
from ammrg.operating_points import SETTINGS, in_words
from ammrg.thresholds import is_predicted
from experiments.__main__ import main
from experiments.runs.model_card import SHOWN, dial_section
from experiments.runs.operating_curve import CURVE, measure_curve, read_curve
from experiments.runs.run import Run as OpenedRun
from tests.pipeline.nano_run import Run


def test_the_curve_is_what_the_network_says_of_validation(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "MIN_POSITIVES", 2)  # 16 studies: with 10, no finding would be measured
    opened = OpenedRun(run.folder)
    network, data = opened.model().network.eval(), opened.data
    curve = measure_curve(network, data)
    assert len(curve.measured) > 3
    recalls, precisions = curve.recall, curve.precision
    assert recalls is not None
    assert precisions is not None
    assert all(before >= after for before, after in itertools.pairwise(recalls))
    assert all(before <= after for before, after in itertools.pairwise(precisions[10:]))
    assert recalls[0] > recalls[-1]
    assert precisions[0] < precisions[-1]
    probabilities, labels = [], []
    with torch.inference_mode():
        for batch in data.evaluation_loader("val", alone=True):
            seen = network.see(batch.images).logits
            probabilities.append(network.classifier.study_logits(seen, batch.study_of_view, len(batch.study_ids)))
            labels.append(batch.labels)
    scores, (targets, known) = torch.cat(probabilities).sigmoid(), training_targets(torch.cat(labels))
    for place in (0, 5, 10, 15, 20):
        found, _ = curve.thresholds(SETTINGS[place])
        shown = is_predicted(scores, torch.tensor(found))
        called = shown & known.bool()
        hits = (called & (targets == 1)).sum(0)
        for name in curve.measured:
            one = FINDINGS.index(name)
            recall, precision = curve.findings[name].recall, curve.findings[name].precision
            assert recall is not None
            assert precision is not None
            assert recall[place] == pytest.approx(int(hits[one]) / int((targets == 1).sum(0)[one]))
            count = int(called.sum(0)[one])
            assert precision[place] == pytest.approx(int(hits[one]) / count if count else 1.0)
        abnormal = list(ABNORMAL)
        assert recalls[place] == pytest.approx(int(hits[abnormal].sum()) / int((targets == 1)[:, abnormal].sum()))
        assert precisions[place] == pytest.approx(int(hits[abnormal].sum()) / int(called[:, abnormal].sum()))
        assert curve.calls[place] == pytest.approx(float(shown[:, list(ABNORMAL)].sum()) / len(scores))
    section = dial_section(curve)
    few = [FINDINGS[i] for i in ABNORMAL if FINDINGS[i] not in curve.measured]
    assert f"{', '.join(few)}: fewer than 10 positive validation studies" in section
    balanced = " | ".join(f"{share:.3f}" for share in curve.together(0.5) or ())
    assert f"| 0.5 (balanced) | {balanced} | {curve.calls[10]:.2f} |" in section


def test_the_curve_is_written_with_the_reports_and_belongs_to_their_checkpoint(run: Run, tmp_path: Path) -> None:
    curve = read_curve(run.folder, run.stage2 / "best.ckpt")
    assert curve is not None
    assert curve.studies == 16
    assert OpenedRun(run.folder).generator().curve == curve
    (tmp_path / "best.ckpt").write_bytes(b"another")
    assert read_curve(run.folder, tmp_path / "best.ckpt") is None
    assert read_curve(tmp_path, run.stage2 / "best.ckpt") is None


def test_an_export_has_the_curve_and_shows_it_on_its_card(run: Run, tmp_path: Path) -> None:
    assert main(["export", str(run.folder), "--out", str(tmp_path / "exported")]) == 0
    curve = ReportGenerator.from_pretrained(tmp_path / "exported", device="cpu").curve
    assert curve == read_curve(run.folder, run.stage2 / "best.ckpt")
    assert curve is not None
    card = (tmp_path / "exported" / "README.md").read_text()
    section = card.partition("## More sensitive, or more specific")[2].partition("\n## ")[0]
    for setting in SHOWN:
        (row,) = (line for line in section.splitlines() if line.startswith(f"| {in_words(setting)} |"))
        assert row.endswith(f"| {curve.calls[SETTINGS.index(setting)]:.2f} |")
    assert not curve.measured  # 16 studies
    assert curve.together(0.5) is not None
    assert "| finding | positive |" not in section
    assert "nan" not in section
    unknown = dial_section(curve._replace(recall=None, precision=None)).replace("\n", " ")
    assert "recall and precision are not known" in unknown


def test_reports_are_written_again_at_another_setting_and_scored(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run.folder, copy)
    (copy / CURVE).unlink()  # as a run of an earlier release
    (copy / "stage2" / "config.yaml").write_text((run.stage2 / "config.yaml").read_text())
    before = (copy / "reports.jsonl").read_bytes(), (copy / "scores.json").read_bytes()
    assert main(["reports", str(copy), "--operating-point", "0.1"]) == 0
    assert ((copy / "reports.jsonl").read_bytes(), (copy / "scores.json").read_bytes()) == before
    assert json.loads((copy / CURVE).read_text()) == json.loads((run.folder / CURVE).read_text())
    written = copy / "operating_points" / "0.1"
    lines = [json.loads(line) for line in (written / "reports.jsonl").read_text().splitlines()]
    meta = json.loads((written / "reports.meta.json").read_text())
    curve = read_curve(copy, copy / "stage2" / "best.ckpt")
    assert curve is not None
    assert meta["operating_point"] == 0.1
    assert [meta["thresholds"][name] for name in FINDINGS] == pytest.approx(curve.thresholds(0.1)[0])
    assert json.loads((copy / "reports.meta.json").read_text())["operating_point"] == 0.5
    own = {str(line["study_id"]): line for line in run.lines()}
    assert set(own) == {line["study_id"] for line in lines}
    assert all(line["findings"] == pytest.approx(own[line["study_id"]]["findings"], abs=1e-4) for line in lines)
    scores = json.loads((written / "scores.json").read_text())
    assert list(scores["against"]) == ["run/reports"]
    capsys.readouterr()
    assert main(["reports", str(copy), "--operating-point", "balanced"]) == 1
    assert "reports.jsonl: these are the run's own reports (make reports)" in capsys.readouterr().err


def test_reports_of_the_validation_studies(run: Run, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run.folder, copy)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what it warns of on purpose is silenced
        assert main(["reports", str(copy), "--split", "val"]) == 0
    data = OpenedRun(run.folder).data
    lines = [json.loads(line) for line in (copy / "val" / "reports.jsonl").read_text().splitlines()]
    assert [line["study_id"] for line in lines] == data.ids("val")[0]
    assert [line["reference"] for line in lines] == data.texts("val")
    assert json.loads((copy / "val" / "reports.meta.json").read_text())["split"] == "val"
    assert not json.loads((copy / "val" / "scores.json").read_text()).get("against")
    assert main(["reports", str(copy), "--split", "val", "--operating-point", "sensitive"]) == 0
    sensitive = copy / "val" / "operating_points" / "0.25"
    assert list(json.loads((sensitive / "scores.json").read_text())["against"]) == ["val/reports"]
    assert (copy / "reports.jsonl").read_bytes() == (run.folder / "reports.jsonl").read_bytes()
