"""Baselines of recall: patterns of the predicted finding, alike reports with ties at random, the nearest film."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch

from ammrg.findings import FINDINGS
from ammrg.networks.report_network import ReportNetwork
from experiments.runs.recall_baselines import write_recall_baselines
from experiments.runs.study_features import StudyFeatures
from tests.tiny_stage2 import bank

EFFUSION = FINDINGS.index("Pleural Effusion")


def features(ids: list[str], image: torch.Tensor, findings: torch.Tensor) -> StudyFeatures:
    return StudyFeatures(
        torch.nn.functional.normalize(image, dim=1),
        findings,
        ids,
        ids,
        [""] * len(ids),
        [{}] * len(ids),
        torch.zeros(len(ids), 14),
    )


def written(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def test_each_baseline_lists_what_it_says(tmp_path: Path) -> None:
    torch.manual_seed(0)
    trained = [f"s{row}" for row in range(300)]
    regions, reports = bank("regions", 32, tuple(trained)), bank("reports", 24, tuple(trained))
    texts = ("Left pleural effusion.", "Clear lungs.") * 300
    network = SimpleNamespace(
        classifier=SimpleNamespace(thresholds=torch.full((14,), 0.5)),
        visual_bank=dataclasses.replace(regions, findings=torch.arange(len(regions)) % 13),
        report_bank=dataclasses.replace(reports, texts=texts),
    )
    image, findings = torch.randn(300, 8), torch.zeros(300, 14)
    seen = torch.zeros(40, 14)
    seen[:, EFFUSION] = 1.0
    asked = features([f"t{row}" for row in range(40)], image[:40] + 0.001, seen)
    write_recall_baselines(cast(ReportNetwork, network), features(trained, image, findings), asked, tmp_path, seed=0)
    filtered, nearest = written(tmp_path, "filtered"), written(tmp_path, "nearest_image")
    for row in filtered:
        assert list(row["regions"]) == ["Pleural Effusion"]
        assert {each["finding"] for each in row["regions"]["Pleural Effusion"]} == {"Pleural Effusion"}
        assert {each["text"] for each in row["reports"]} == {"Left pleural effusion."}
    # 300 reports are equally alike: ties go by chance, not by their order
    assert len({row["reports"][0]["pattern"] for row in filtered}) > 30
    assert [row["reports"][0]["study_id"] for row in nearest] == trained[:40]
    assert len(written(tmp_path, "random")) == 40
