"""Writes generated reports as JSON Lines, one study a line, from any number of processes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from ammrg.atomic import partial_file
from ammrg.findings import FINDINGS
from ammrg.gathering import gather_once
from ammrg.networks.places import ASPECTS, ELEMENTS
from ammrg.thresholds import rounded
from ammrg.types import Attribution

OWN = Path("recalled", "own.jsonl")
"""File of what the network itself recalled, in the run's folder."""


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write JSON Lines atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with partial_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


def recalled_row(
    study_id: str, regions: Mapping[str, Sequence[Attribution]], reports: Sequence[Attribution]
) -> dict[str, Any]:
    """One line of a file in ``recalled/``: what a study recalled, by finding and from the reports.

    Args:
        study_id: the study.
        regions: finding -> regions, strongest first.
        reports: reports, strongest first.
    """
    return {
        "study_id": study_id,
        "regions": {finding: [_pattern(each) for each in listed] for finding, listed in regions.items()},
        "reports": [_pattern(each) for each in reports],
    }


def _pattern(found: Attribution) -> dict[str, Any]:
    place = {name: [word for word in ELEMENTS[part] if word in found.place] for name, part in ASPECTS.items()}
    return {**found._asdict(), "place": place if found.place else None}


class ReportWriter(Callback):
    """Collects the results of stage 2's ``predict_step`` and writes them at the end of the pass, sorted by study id.

    ``path`` is the file of the next pass; None = ``reports.jsonl`` in the run's folder, with ``recalled/own.jsonl``
    beside it: what the query of each finding recalled, and the reports that the study recalled.
    """

    def __init__(self) -> None:
        self.path: Path | None = None
        self.rows: list[tuple[str, dict[str, Any]]] = []

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read the training reports: each line records whether its reference is word for word one of them."""
        self.training_texts = set(trainer.datamodule.texts("train"))  # type: ignore[attr-defined]
        self.rows = []

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep one row for each report of the batch; its boxes are left out if the films shown are not its own."""
        own = trainer.datamodule.films == "own"  # type: ignore[attr-defined]
        thresholds = dict(zip(FINDINGS, pl_module.reading.found.tolist(), strict=True))  # type: ignore[union-attr,operator]
        for (report, reference, subject_id), boxes in zip(outputs, batch.film_boxes(), strict=True):
            row = {
                "study_id": report.study_id,
                "subject_id": subject_id,
                "reference": reference,
                "generated": report.text,
                "findings": {name: rounded(value, thresholds[name]) for name, value in report.findings.items()},
                "places": {finding: list(words) for finding, words in report.places.items()},
                "regions": [pattern._asdict() for pattern in report.regions],
                "reports": [pattern._asdict() for pattern in report.reports],
                "reference_in_training": reference in self.training_texts,
                "recalled": recalled_row(report.study_id, report.recalled, report.reports),
            }
            if own and boxes:
                row["boxes"] = [box._asdict() for box in boxes]
            self.rows.append((report.study_id, row))

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gather the rows of all processes, and write them on the first."""
        rows = gather_once(self.rows)
        self.rows = []
        if not trainer.is_global_zero:
            return
        run = Path(trainer.default_root_dir).parent
        if self.path is None:
            write_lines(run / OWN, [row.pop("recalled") for row in rows.values()])
        for row in rows.values():
            row.pop("recalled", None)
        write_lines(self.path or run / "reports.jsonl", rows.values())
