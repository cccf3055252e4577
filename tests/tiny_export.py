"""A report generator with tiny, random networks, and its exported folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ammrg.fingerprints import file_fingerprint
from ammrg.imaging.processor import FilmProcessor
from ammrg.inference.model_folder import seal
from ammrg.inference.report_generator import ReportGenerator
from ammrg.inference.saving import save
from ammrg.memory.bank import MemoryBank
from ammrg.metrics.operating_curve import operating_curve
from ammrg.types import GeneratedReport
from tests.tiny_stage2 import bank, build

OTHERS = ("x0", "x1", "x2")
"""Studies that no memory holds."""


def random_model(
    llm: Path | str, restricted: bool = False, further: Mapping[str, MemoryBank] | None = None, **settings: Any
) -> ReportGenerator:
    """A network whose trained parts, thresholds and LoRA are not as they start."""
    memories = bank("regions", 32), bank("reports", 24)
    if restricted:
        memories = tuple(replace(each, meta=replace(each.meta, restricted=True)) for each in memories)
    network = build(Path(llm), lora={"rank": 2}, banks=(*memories, further), **settings)
    network.classifier.thresholds.copy_(torch.linspace(0.3, 0.7, 14))
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    network.decoding = {"max_new_tokens": 12, "num_beams": 2}
    return ReportGenerator(network.eval(), FilmProcessor(48), "hirescam")


def write(folder: Path, model: ReportGenerator, restricted: bool = False, leave: bool = False) -> Path:
    said = {"dataset": "iu_xray" if restricted else "phantom", "split": {"fingerprint": "5" * 16}}
    return save(
        folder, model, card="# A card\n", provenance=said, restricted=restricted, let_restricted_data_leave=leave
    )


def reseal(folder: Path, change: Callable[[dict[str, Any]], None] = lambda config: None) -> None:
    """A folder made by other means: all its fingerprints are right, whatever it holds."""
    config = json.loads((folder / "config.json").read_text())
    config["files"] = {name: file_fingerprint(folder / name) for name in config["files"]}
    change(config)
    seal(folder, config)


def texts(reports: list[GeneratedReport]) -> list[str]:
    return [report.text for report in reports]


def with_curve(model: ReportGenerator) -> ReportGenerator:
    """The model with an operating curve of made-up validation scores, more of them positive the higher they are."""
    drawn = torch.Generator().manual_seed(0)
    probabilities = torch.rand(200, 14, generator=drawn)
    targets = (torch.rand(200, 14, generator=drawn) < probabilities**2).float()
    found, named = model.network.thresholds
    curve = operating_curve(probabilities, targets, torch.ones_like(targets), found.cpu(), named.cpu())
    return model._replace(curve=curve)
