"""The Lightning module of stage 2 as far as it needs no trained network; tests/pipeline runs the whole."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
import yaml

from ammrg.errors import CheckpointError, SettingsError
from ammrg.memory.bank import BankEdit, BankMeta, MemoryBank
from ammrg.networks.language_model import LanguageModel
from ammrg.networks.report_network import ReportNetwork
from ammrg.types import Box, StudyBatch
from lightning_modules.report_generation import ReportGeneration
from lightning_modules.stage2_identity import tell_missing_places


def batch() -> StudyBatch:
    return StudyBatch(
        images=torch.arange(5, dtype=torch.uint8).reshape(5, 1, 1, 1),
        study_of_view=torch.tensor([0, 0, 1, 2, 2]),
        labels=torch.zeros(3, 14),
        reports=["a", "b", "c"],
        study_ids=["1", "2", "3"],
        subject_ids=["1", "2", "3"],
        projections=["frontal", "lateral", "frontal", "frontal", "lateral"],
        boxes=[Box(0, 1, 0.0, 0.0, 0.5, 0.5)],
    )


def test_every_study_gets_the_films_of_its_partner() -> None:
    partner = batch()._replace(
        images=torch.tensor([2, 3, 4, 0], dtype=torch.uint8).reshape(4, 1, 1, 1),
        study_of_view=torch.tensor([0, 1, 1, 2]),
        projections=["lateral", "frontal", "lateral", "unknown"],
        study_ids=["7", "8", "9"],
    )
    exchanged = batch()._replace(partner=partner).exchanged()
    assert exchanged.study_of_view.tolist() == [0, 1, 1, 2]
    assert exchanged.images.flatten().tolist() == [2, 3, 4, 0]
    assert exchanged.projections == ["lateral", "frontal", "lateral", "unknown"]
    assert exchanged.reports == ["a", "b", "c"]
    assert exchanged.study_ids == ["1", "2", "3"]
    assert exchanged.boxes == []
    assert exchanged.partner is None
    with pytest.raises(ValueError, match="no partners"):
        batch().exchanged()


def bank() -> MemoryBank:
    meta = {"encoder_fingerprint": "e", "data_fingerprint": "d", "split": "train", "seed": 0, "selection": "random"}
    return MemoryBank(
        patterns=torch.randn(3, 4),
        study_ids=(("1",), ("2",), ("3",)),
        subject_ids=(("1",), ("2",), ("3",)),
        findings=torch.tensor([0, 1, 2]),
        boxes=torch.zeros(3, 4),
        views=torch.zeros(3, dtype=torch.int64),
        texts=("",) * 3,
        scores=torch.ones(3),
        meta=BankMeta(kind="regions", restricted=False, **cast(Any, meta)),
    )


def module(**settings: Any) -> ReportGeneration:
    return ReportGeneration("stage1.ckpt", "regions", "reports", "llm", **settings)


def test_predict_says_what_the_language_model_writes_with(llm_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage2, model = module(), LanguageModel(str(llm_folder), "nf4", lora={"rank": 2}, device="cpu").eval()
    stage2.generator = cast(Any, SimpleNamespace(language_model=model))
    stage2.on_predict_start()
    assert capsys.readouterr().out == "the language model writes with merged float32 matrices (of nf4 weights)\n"


def with_memory(visual: MemoryBank, trained: MemoryBank) -> tuple[ReportGeneration, dict[str, Any]]:
    """A module with one memory, and a checkpoint that was trained with another."""
    stage2 = module()
    identity = {"classifier": "c", "visual_memory": visual.fingerprint, "report_memory": None}
    network = SimpleNamespace(visual_bank=visual, report_bank=None, identity=identity)
    stage2.generator = cast(ReportNetwork, network)
    return stage2, {"identity": identity | {"visual_memory": trained.fingerprint}}


def edited(before: MemoryBank) -> MemoryBank:
    meta = dataclasses.replace(before.meta, edits=(BankEdit(before.fingerprint, "withdrawn: 1 of 3 patterns"),))
    return dataclasses.replace(before.take(torch.tensor([0, 2])), meta=meta)


def test_a_memory_edited_since_training_is_taken_and_another_refused(capsys: pytest.CaptureFixture[str]) -> None:
    first = bank()
    for now, said in ((first, ""), (edited(first), "visual_memory was edited after this checkpoint was trained")):
        stage2, checkpoint = with_memory(now, first)
        stage2.on_load_checkpoint(checkpoint)
        assert capsys.readouterr().out.startswith(said)
    for now, then in ((bank(), first), (first, edited(first))):
        stage2, checkpoint = with_memory(now, then)
        with pytest.raises(CheckpointError, match="trained with visual_memory"):
            stage2.on_load_checkpoint(checkpoint)
    stage2, checkpoint = with_memory(first, first)
    checkpoint["identity"]["visual_memory"] = None  # trained without
    with pytest.raises(CheckpointError, match="trained with visual_memory None"):
        stage2.on_load_checkpoint(checkpoint)


def test_a_memory_of_regions_without_places_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    placed = dataclasses.replace(bank(), places=torch.eye(3, 5, dtype=torch.bool))
    tell_missing_places("memory/regions", placed)
    assert capsys.readouterr().out == ""
    tell_missing_places("memory/regions", bank())
    assert capsys.readouterr().out.startswith(
        "memory/regions: its regions have no places (an earlier version wrote it)"
    )


def test_the_association_loss_is_off_unless_it_is_given_a_weight() -> None:
    assert module().hparams["association_loss"] == 0.0
    paper = Path(__file__).parents[2] / "experiments" / "configs" / "stage2" / "paper.yaml"
    assert "association_loss" not in yaml.safe_load(paper.read_text())["model"]["init_args"]
    with pytest.raises(SettingsError, match=r"model\.association_loss \(-1\)"):
        module(association_loss=-1)
