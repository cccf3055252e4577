"""The mining report is beside the memory, agrees with it, and carries the notice of restricted data."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ammrg.errors import MemoryBankError, SettingsError
from ammrg.memory.bank_files import load
from ammrg.memory.held_out import HeldOut
from ammrg.memory.regions import MinedFilm, Region
from ammrg.types import Box
from callbacks import mining_report
from callbacks.memory_writer import RegionMemoryWriter
from callbacks.mining_report import MiningReport
from tests.unchecked import UNCHECKED

STUDIES = [f"s{i}" for i in range(9)]


class Films:
    """Studies with two films each, the second of which is brighter."""

    def example(self, key: tuple[int, int, int]) -> SimpleNamespace:
        return SimpleNamespace(films=np.stack([np.full((32, 32), v + key[0], np.uint8) for v in (40, 200)]))


def setting(folder: Path, restricted: bool, callbacks: list[Any]) -> tuple[Any, Any]:
    data = SimpleNamespace(
        predict_split="train",
        card={"fingerprint": "data", "restricted": restricted},
        ids=lambda split: (STUDIES, STUDIES),
        prepared=SimpleNamespace(held_out=lambda: HeldOut(frozenset({"t1"}), frozenset())),
        predict_dataloader=lambda: SimpleNamespace(dataset=Films()),
    )
    trainer = SimpleNamespace(
        datamodule=data, default_root_dir=str(folder / "stage1"), is_global_zero=True, callbacks=callbacks
    )
    qformer = SimpleNamespace(disease_queries=torch.zeros(14, 4))
    module = SimpleNamespace(fingerprint="e", classifier=SimpleNamespace(qformer=qformer), cam="hirescam")
    return trainer, module


def mine(folder: Path, restricted: bool = False, shown: int = 4) -> tuple[Path, list[Any]]:
    films = [
        MinedFilm(
            study,
            study,
            1,
            [Region(1, (0.1, 0.1, 0.4, 0.5), 0.5 + i / 20, torch.randn(4))],
            (1,),
            (1,),
            (Box(1, 1, 0.1, 0.1, 0.5, 0.5),),
        )
        for i, study in enumerate(STUDIES)
    ]
    writer, report = RegionMemoryWriter(maps_num=7), MiningReport(shown)
    trainer, module = setting(folder, restricted, [writer, report])
    drawn: list[Any] = []
    patch = pytest.MonkeyPatch()
    real = mining_report.draw_region_sheet
    patch.setattr(mining_report, "draw_region_sheet", lambda *page: drawn.append(page) or real(*page))
    writer.on_predict_start(trainer, module)
    writer.on_predict_batch_end(trainer, module, films, None, 0)
    writer.on_predict_epoch_end(trainer, module)
    report.on_predict_end(trainer, module)
    patch.undo()
    return folder / "memory", drawn


def test_numbers_and_pages_are_those_of_the_memory(tmp_path: Path) -> None:
    memory, drawn = mine(tmp_path)
    numbers = json.loads((memory / "regions_report" / "report.json").read_text())
    assert numbers["findings"]["Cardiomegaly"]["mined_regions"] == 9
    assert numbers["findings"]["Cardiomegaly"]["stored_regions"] == 7
    assert numbers["findings"]["Cardiomegaly"]["on_known_place"] == 1.0
    assert (numbers["cam"], numbers["selection"], numbers["restricted"]) == ("hirescam", "coreset", False)
    assert not any(study in json.dumps(numbers) for study in STUDIES)  # numbers only
    assert sorted(p.name for p in (memory / "regions_report").iterdir()) == ["cardiomegaly.png", "report.json"]
    ((title, cells, _, _),) = drawn
    assert "7 of 9 regions stored, from 7 of 9 positive studies; 4 shown" in title
    bank = load(memory / "regions", UNCHECKED)
    scores = sorted(bank.scores[14:].tolist(), reverse=True)
    assert len(cells) == 4
    assert cells[0].caption.startswith(f"{scores[0]:.2f}")
    for cell in cells:
        study = cell.caption.split()[1]
        assert (cell.film == 200 + int(study[1:])).all()  # the study itself, and its second film
        assert cell.known == [(0.1, 0.1, 0.5, 0.5)]


def test_pages_of_restricted_data_say_so(tmp_path: Path) -> None:
    for restricted, words in ((True, "must not leave"), (False, "Research use only")):
        memory, drawn = mine(tmp_path / str(restricted), restricted)
        assert words in drawn[0][2]
        assert json.loads((memory / "regions_report" / "report.json").read_text())["restricted"] is restricted


def test_a_memory_with_an_evaluation_study_is_not_shown(tmp_path: Path) -> None:
    mine(tmp_path)
    writer, report = RegionMemoryWriter(maps_num=7), MiningReport()
    trainer, module = setting(tmp_path, False, [writer, report])
    trainer.datamodule.prepared = SimpleNamespace(held_out=lambda: HeldOut(frozenset({"s1"}), frozenset()))
    with pytest.raises(MemoryBankError, match=r"of the validation or test split: s1\."):
        report.on_predict_end(trainer, module)


def test_it_needs_a_writer_and_something_to_show(tmp_path: Path) -> None:
    trainer, module = setting(tmp_path, False, [])
    with pytest.raises(SettingsError, match="RegionMemoryWriter beside it"):
        MiningReport().on_predict_end(trainer, module)
    with pytest.raises(SettingsError, match="at least 1"):
        MiningReport(0)
