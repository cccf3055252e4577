"""Logs a few sample studies where loggers show tables: films with maps, references and generated reports."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image

from ammrg.findings import ABNORMAL, FINDINGS
from ammrg.imaging.panel import CasePage, PageFilm, draw_case
from ammrg.networks.class_activation import activation_maps
from ammrg.networks.evaluating import evaluating


class Samples(Callback):
    """Logs, at the end of training, a table ``samples`` of the first validation studies and a page of maps of each.

    In stage 2 these are the first studies with a generated report. Nothing is logged for restricted data.

    Args:
        count: number of studies.
    """

    def __init__(self, count: int = 4) -> None:
        self.count = count
        self.generated: dict[str, str] = {}

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Copy stage 2's reports before the module scores and drops them."""
        judged = getattr(pl_module, "judged", [])
        self.generated = {study: found.text for study, found in judged if found.text is not None}

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw and log the samples, on the first process."""
        datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]
        tables = [logger for logger in trainer.loggers if hasattr(logger, "log_table")]
        if datamodule.card["restricted"] or not tables or not trainer.is_global_zero:
            return
        films = datamodule.val_dataloader().dataset
        rows: list[list[str]] = []
        pictures: list[Any] = []
        with TemporaryDirectory() as folder:
            studies = datamodule.ids("val")[0]
            shown = [number for number, study in enumerate(studies) if study in self.generated] or range(len(studies))
            for number in shown[: self.count]:
                example = films.example((number, 0, 0))
                report = self.generated.get(example.study_id, "")
                page = self.page(pl_module, example, report)
                with Image.open(draw_case(page, Path(folder) / f"{number}.png")) as drawn:
                    pictures.append(drawn.convert("RGB"))  # a copy: the logger sends it after the file is deleted
                rows.append([example.study_id, example.report, report])
        for logger in tables:
            logger.log_table("samples", columns=["study", "reference", "generated"], data=rows)
            # Not in the table: W&B does not save pictures in table cells when it is offline.
            logger.log_image("samples/maps", images=pictures, caption=[row[0] for row in rows])

    def page(self, pl_module: Any, example: Any, report: str) -> CasePage:
        """A page with the first film of a study and the maps of its three most probable abnormal findings."""
        network = getattr(pl_module, "classifier", None)
        classifier = network if network is not None else pl_module.network.classifier
        film = torch.as_tensor(example.films[0])[None, None].to(pl_module.device)
        with torch.autocast(pl_module.device.type, enabled=False), evaluating(classifier):
            maps, seen = activation_maps(classifier, film, pl_module.cam)
        values = dict(zip(FINDINGS, seen.logits[0].float().sigmoid().tolist(), strict=True))
        strongest = sorted((FINDINGS[i] for i in ABNORMAL), key=lambda name: -values[name])[:3]
        return CasePage(
            films=[PageFilm(np.asarray(example.films[0]))],
            maps={name: maps[0, FINDINGS.index(name)].float().cpu().numpy() for name in strongest},
            probabilities=values,
            thresholds=dict(zip(FINDINGS, classifier.thresholds.tolist(), strict=True)),
            report=report,
            reference=example.report,
            title=f"study {example.study_id}",
            cell_shift=classifier.encoder.cell_shift,
        )
