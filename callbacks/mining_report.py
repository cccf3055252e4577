"""Writes a report on the mined regions beside the memory: numbers, and a picture of regions for each finding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from ammrg.atomic import write_json
from ammrg.errors import SettingsError
from ammrg.findings import FINDINGS
from ammrg.imaging.region_sheet import SheetCell, draw_region_sheet
from ammrg.memory.bank import MemoryBank
from ammrg.memory.bank_files import load
from ammrg.memory.mining_report import mining_report
from ammrg.notice import NOTICE
from ammrg.ranges import check_ranges
from callbacks.memory_writer import RegionMemoryWriter

HOME = "From restricted data: this page and its films must not leave the machine they are kept on."


class MiningReport(Callback):
    """Writes the folder ``regions_report`` beside the region memory.

    ``report.json`` contains numbers only (see :func:`ammrg.memory.mining_report.mining_report`). ``<finding>.png``
    shows films with stored regions (red) and, where they are known, the finding's boxes (blue). Pictures of restricted
    data say so: they show patients and must stay where the data are.

    Args:
        shown: most regions in a picture, at least 1, evenly spaced in order of falling score.
    """

    def __init__(self, shown: int = 24) -> None:
        check_ranges({"shown": shown}, root="MiningReport", counts={"shown": "region"})
        self.shown = shown

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read the written memory, count its regions, and draw the pictures, on the first process.

        Raises:
            SettingsError: the trainer has no RegionMemoryWriter.
        """
        if not trainer.is_global_zero:
            return
        writer = next((c for c in trainer.callbacks if isinstance(c, RegionMemoryWriter)), None)  # type: ignore[attr-defined]
        if writer is None:
            raise SettingsError("trainer.callbacks: MiningReport needs a RegionMemoryWriter beside it")
        path = writer.bank_path(trainer)
        bank = load(path, trainer.datamodule.prepared.held_out())  # type: ignore[attr-defined]
        folder = path.parent / "regions_report"
        folder.mkdir(parents=True, exist_ok=True)
        report = mining_report(writer.films, bank) | {
            "restricted": bank.meta.restricted,
            "selection": bank.meta.selection,
            "cam": pl_module.cam,
        }
        self.draw(trainer, bank, writer, report, folder)
        # Written last: where report.json exists, the pictures do too.
        write_json(folder / "report.json", report)
        print(f"{folder}: report on the mined regions, with a picture for each finding")

    def draw(
        self, trainer: Trainer, bank: MemoryBank, writer: RegionMemoryWriter, report: dict[str, Any], folder: Path
    ) -> None:
        """Draw one picture for each finding that has stored regions."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        place_of = {study: place for place, study in enumerate(data.ids("train")[0])}
        films = data.predict_dataloader().dataset
        known = {(film.study_id, film.view): film.boxes for film in writer.films}
        for finding, name in enumerate(FINDINGS):
            rows = [row for row, owners in enumerate(bank.study_ids) if owners and bank.findings[row] == finding]
            rows.sort(key=lambda row: -float(bank.scores[row]))
            count = min(self.shown, len(rows))
            cells = []
            for row in (rows[number * len(rows) // count] for number in range(count)):
                study, view = bank.study_ids[row][0], int(bank.views[row])
                boxes = [box[2:] for box in known[study, view] if box.finding == finding]
                film = films.example((place_of[study], 0, 0)).films[view]
                caption = f"{float(bank.scores[row]):.2f}  {study}"
                cells.append(SheetCell(film, tuple(bank.boxes[row].tolist()), boxes, caption))
            if cells:
                counts = report["findings"][name]
                title = (
                    f"{name}: {counts['stored_regions']} of {counts['mined_regions']} regions stored, from "
                    f"{counts['stored_studies']} of {counts['positive_studies']} positive studies; {count} shown, "
                    "highest score first"
                )
                footnote = HOME if bank.meta.restricted else NOTICE
                draw_region_sheet(title, cells, footnote, folder / f"{name.lower().replace(' ', '_')}.png")
