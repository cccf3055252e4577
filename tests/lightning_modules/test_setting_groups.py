"""Groups of settings: dataclasses in the code, primitives in checkpoints, and the networks' own names and defaults."""

from __future__ import annotations

import inspect
from dataclasses import MISSING, FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest
import torch

from ammrg.errors import SettingsError
from ammrg.memory.candidates import FaissSearch
from ammrg.memory.patches import pick_patches
from ammrg.memory.regions import pick_regions
from ammrg.networks.associative_memory import CANDIDATES
from ammrg.networks.decoding import check_decoding
from ammrg.networks.disease_qformer import DiseaseQFormer
from ammrg.networks.hopfield import HopfieldRetrieval
from ammrg.networks.report_network import ReportNetwork
from ammrg.networks.stage1_settings import EncoderSettings, QFormerSettings, RegionSettings
from ammrg.networks.stage2_settings import (
    DecodingSettings,
    HopfieldSettings,
    LoraSettings,
    NetworkSettings,
    TwoStepSettings,
    UnfreezeSteps,
)
from ammrg.networks.trained_parts import PARTS
from ammrg.networks.visual_encoder import VisualEncoder
from lightning_modules.disease_classification import DiseaseClassification
from lightning_modules.report_generation import ReportGeneration
from lightning_modules.setting_groups import as_group, groups_of, primitives
from tests.quiet_trainer import quiet_trainer
from tests.tiny_encoder import ENCODER

NANO: dict[str, Any] = {
    "encoder": ENCODER,
    "qformer": {"width": 32, "layers": 1, "heads": 2, "cross_attention_every": 1},
}
ELSEWHERE = {"exclude_self", "instruction", "max_report_tokens", "freeze", "further_banks"}
"""Settings of the network that have their own name in ``model``; of ``further_banks`` it is ``further_memories``."""


def own(kind: type) -> dict[str, Any]:
    """Defaults of a group's fields, with inner groups as primitives."""
    return {
        field.name: field.default if field.default_factory is MISSING else primitives(field.default_factory())
        for field in fields(kind)
    }


def theirs(made: Any) -> dict[str, Any]:
    """Defaults of a network's arguments."""
    parameters = inspect.signature(made).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not each.empty}


def test_groups_have_the_networks_names_and_defaults() -> None:
    assert own(HopfieldSettings) == theirs(HopfieldRetrieval)
    assert own(TwoStepSettings) == {"candidates": CANDIDATES, **theirs(FaissSearch)}
    assert own(EncoderSettings) == theirs(VisualEncoder)
    assert own(QFormerSettings) == {key: value for key, value in theirs(DiseaseQFormer).items() if key != "query_scale"}
    network = {key: value for key, value in theirs(ReportNetwork).items() if key not in ELSEWHERE}
    assert own(NetworkSettings) == {**network, "hopfield": theirs(HopfieldRetrieval)}
    assert set(own(UnfreezeSteps)) == set(PARTS)
    assert set(own(RegionSettings)) == {*theirs(pick_regions), *theirs(pick_patches)} - {"cell_shift"}
    for name in own(DecodingSettings):
        check_decoding({name: None})  # a field of transformers' GenerationConfig


def test_every_field_says_what_it_is() -> None:
    """The docstrings that --help shows."""
    for made in (DiseaseClassification, ReportGeneration):
        for kind in (*groups_of(made).values(), HopfieldSettings, TwoStepSettings):
            source = inspect.getsource(kind)
            assert source.count('    """') >= len(fields(kind)) + 1, kind
            with pytest.raises(FrozenInstanceError):
                setattr(kind(), fields(kind)[0].name, 1)


def test_a_group_comes_from_primitives_and_goes_back() -> None:
    given = {"pool_image_tokens": 2, "hopfield": {"beta": [1.0, 2.0], "heads": 2}, "two_step": {"visited": 4}}
    group = as_group(NetworkSettings, given, "model.network")
    assert group == NetworkSettings(
        pool_image_tokens=2, hopfield=HopfieldSettings(beta=[1.0, 2.0], heads=2), two_step=TwoStepSettings(visited=4)
    )
    assert as_group(NetworkSettings, primitives(group), "model.network") == group
    assert as_group(LoraSettings, None, "model.lora") is primitives(None) is None
    assert primitives(LoraSettings(rank=4)) == {"rank": 4, "dropout": 0.0}
    with pytest.raises(SettingsError, match=r"^model\.network\.hopfield\.bata: no such setting; there are .*beta"):
        as_group(NetworkSettings, {"hopfield": {"bata": 1}}, "model.network")
    with pytest.raises(SettingsError, match=r"^model\.lora: found 4, must map some of rank, "):
        as_group(LoraSettings, 4, "model.lora")


@pytest.mark.parametrize("form", ["primitives", "dataclasses"])
def test_a_checkpoint_holds_primitives_and_gives_the_groups_back(tmp_path: Path, form: str) -> None:
    settings = NANO
    if form == "dataclasses":
        kinds = {"encoder": EncoderSettings, "qformer": QFormerSettings}
        settings = {name: as_group(kinds[name], given, name) for name, given in NANO.items()}
    module = DiseaseClassification(**settings, regions=RegionSettings(share=0.5))
    trainer = quiet_trainer(max_epochs=1)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    held = torch.load(tmp_path / "a.ckpt", weights_only=True)["hyper_parameters"]
    assert held["regions"] == {"share": 0.5}
    assert held["encoder"]["config"] == NANO["encoder"]["config"]
    whole = {**own(QFormerSettings), **NANO["qformer"]}
    assert held["qformer"] == {name: value for name, value in whole.items() if value is not None}
    again = DiseaseClassification.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert again.hparams == module.hparams
