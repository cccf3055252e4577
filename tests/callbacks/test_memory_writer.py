"""Banks of mined regions and encoded reports: which studies they may contain, and their content."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ammrg.errors import MemoryBankError
from ammrg.memory.bank import owners_mask
from ammrg.memory.bank_files import load, save
from ammrg.memory.editing import withdraw
from ammrg.memory.regions import Region
from callbacks.memory_writer import RegionMemoryWriter, ReportMemoryWriter
from lightning_modules.disease_classification import MinedFilm
from lightning_modules.report_encoding import EncodedReports
from tests.unchecked import UNCHECKED

WIDTH = 4


def trainer(split: str = "train") -> SimpleNamespace:
    data = SimpleNamespace(predict_split=split, card={"fingerprint": "data", "restricted": False})
    return SimpleNamespace(datamodule=data, default_root_dir="unused", is_global_zero=True)


def module() -> SimpleNamespace:
    qformer = SimpleNamespace(disease_queries=torch.arange(14.0 * WIDTH).reshape(14, WIDTH))
    return SimpleNamespace(fingerprint="encoder", classifier=SimpleNamespace(qformer=qformer))


def film(study: str, *findings: int) -> MinedFilm:
    regions = [Region(i, (0.1, 0.2, 0.3, 0.4), 0.9, torch.randn(WIDTH)) for i in findings]
    return MinedFilm(study, f"patient of {study}", 0, regions)


@pytest.mark.parametrize("split", ["val", "test"])
def test_only_the_training_split_may_be_remembered(split: str) -> None:
    for writer in (RegionMemoryWriter(), ReportMemoryWriter()):
        with pytest.raises(MemoryBankError, match=f"predict_split is '{split}'"):
            writer.on_predict_start(trainer(split), module())


def test_regions_follow_the_disease_queries_and_keep_their_owner(tmp_path: Path) -> None:
    writer = RegionMemoryWriter(maps_num=2, folder=str(tmp_path))
    writer.on_predict_start(trainer(), module())
    writer.on_predict_batch_end(trainer(), module(), [film("a", 1, 3), film("b", 1), film("c", 1)], None, 0)
    writer.on_predict_epoch_end(trainer(), module())
    bank = load(tmp_path / "regions", UNCHECKED, encoder_fingerprint="encoder", data_fingerprint="data")
    assert bank.findings.tolist()[:14] == list(range(14))
    assert torch.equal(bank.patterns[:14], module().classifier.qformer.disease_queries)
    assert sorted(bank.findings.tolist()[14:]) == [1, 1, 3]
    assert bank.study_ids[:14] == ((),) * 14
    assert all(len(owner) == 1 for owner in bank.study_ids[14:])
    assert bank.boxes[14:].isfinite().all()
    assert bank.boxes[:14].isnan().all()


def test_maps_that_show_no_place_are_counted_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    writer = RegionMemoryWriter(folder=str(tmp_path))
    writer.on_predict_start(trainer(), module())
    films = [film("a", 1)._replace(flat=(9,)), film("b")._replace(flat=(1, 9))]
    writer.on_predict_batch_end(trainer(), module(), films, None, 0)
    writer.on_predict_epoch_end(trainer(), module())
    said = capsys.readouterr().out
    assert "1 maps of Cardiomegaly show no place" in said
    assert "2 maps of Pleural Effusion show no place" in said
    writer.on_predict_start(trainer(), module())
    writer.on_predict_batch_end(trainer(), module(), [film("a", 1)], None, 0)
    writer.on_predict_epoch_end(trainer(), module())
    assert "no place" not in capsys.readouterr().out


def test_a_memory_that_somebody_was_withdrawn_from_is_not_made_anew(tmp_path: Path) -> None:
    writer = RegionMemoryWriter(folder=str(tmp_path))
    for _ in range(2):  # replaced without an error
        writer.on_predict_start(trainer(), module())
        writer.on_predict_batch_end(trainer(), module(), [film("a", 1), film("b", 1)], None, 0)
        writer.on_predict_epoch_end(trainer(), module())
    save(withdraw(load(tmp_path / "regions", UNCHECKED), ["a"]), tmp_path / "regions")
    with pytest.raises(MemoryBankError, match=r"regions\.json: studies were withdrawn .* would contain them again"):
        writer.on_predict_start(trainer(), module())


def test_no_region_at_all_is_an_error(tmp_path: Path) -> None:
    writer = RegionMemoryWriter(folder=str(tmp_path))
    writer.on_predict_start(trainer(), module())
    writer.on_predict_batch_end(trainer(), module(), [film("a")], None, 0)
    with pytest.raises(
        MemoryBankError,
        match=r"no region was mined from 1 training films: .*; train stage 1 longer .* or on more studies$",
    ):
        writer.on_predict_epoch_end(trainer(), module())


def test_doubled_reports_are_one_pattern_with_all_owners_and_empty_ones_none(tmp_path: Path) -> None:
    writer = ReportMemoryWriter(folder=str(tmp_path))
    writer.on_predict_start(trainer(), module())
    texts = ["The lungs are clear.", "There is edema.", "The lungs are clear.", ""]
    encoded = EncodedReports(torch.randn(4, WIDTH), texts, torch.zeros(4, 14), list("abcd"), list("wxyz"))
    writer.on_predict_batch_end(trainer(), module(), encoded, None, 0)
    writer.on_predict_epoch_end(trainer(), module())
    bank = load(tmp_path / "reports", UNCHECKED)
    assert sorted(zip(bank.texts, bank.study_ids, strict=True)) == [
        ("The lungs are clear.", ("a", "c")),
        ("There is edema.", ("b",)),
    ]
    assert bank.meta.kind == "reports"


def test_studies_that_were_not_chosen_own_their_report_too(tmp_path: Path) -> None:
    writer = ReportMemoryWriter(reports_num=2, folder=str(tmp_path))
    writer.on_predict_start(trainer(), module())
    texts = ["The lungs are clear."] * 5 + ["There is edema."]
    labels = torch.zeros(6, 14)
    labels[5, 4] = 1.0
    encoded = EncodedReports(torch.randn(6, WIDTH), texts, labels, list("abcdef"), list("uvwxyz"))
    writer.on_predict_batch_end(trainer(), module(), encoded, None, 0)
    writer.on_predict_epoch_end(trainer(), module())
    bank = load(tmp_path / "reports", UNCHECKED)
    owned = {text: set(owners) for text, owners in zip(bank.texts, bank.study_ids, strict=True)}
    assert owned == {"The lungs are clear.": set("abcde"), "There is edema.": {"f"}}
    allowed = owners_mask(bank, ["f", "b"], ["z", "v"], "patient")
    assert allowed[1].all()  # the owners of a shared pattern cannot be identified
    assert not allowed[0].all()  # the owner of an unshared pattern can
