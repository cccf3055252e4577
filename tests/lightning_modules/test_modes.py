"""Trained parts are in training mode and frozen parts are not, whatever was loaded or evaluated before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer

from ammrg.networks.token_budget import token_budget
from callbacks.provenance import Provenance
from lightning_modules.disease_classification import DiseaseClassification
from lightning_modules.stage1_checkpoint import load_stage1
from tests.lightning_modules.blobs import SETTINGS
from tests.lightning_modules.test_stage1_start import Data
from tests.networks.test_visual_encoder import save_pretrained
from tests.quiet_trainer import quiet_trainer
from tests.tiny_stage2 import build


class Modes(Callback):
    """Records the modules in eval mode at each training step, and the counts of batch norm."""

    def __init__(self) -> None:
        self.in_eval: list[list[str]] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        network = pl_module.classifier
        self.in_eval.append([name for name, module in network.named_modules() if not module.training])


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[DiseaseClassification, Modes, Path]:
    """Fine-tunes a ResNet from a folder, with a validation between the two epochs."""
    folder = tmp_path_factory.mktemp("pretrained")
    save_pretrained(folder / "resnet", "resnet")
    module = DiseaseClassification(**{**SETTINGS, "encoder": {"pretrained": str(folder / "resnet")}, "warmup_steps": 0})
    modes = Modes()
    trainer = quiet_trainer(folder, max_epochs=2, callbacks=[modes, Provenance()])
    trainer.fit(module, datamodule=Data(0.5, restricted=False, image_size=64), weights_only=True)
    trainer.save_checkpoint(folder / "last.ckpt")
    return module, modes, folder / "last.ckpt"


def test_a_pretrained_encoder_is_fine_tuned_in_training_mode(fitted: tuple[DiseaseClassification, Modes, Path]) -> None:
    """Batch statistics are updated before and after a validation, which reads films in eval mode."""
    module, modes, _ = fitted
    assert len(modes.in_eval) >= 2
    assert all(names == [] for names in modes.in_eval)
    counted = {name: int(n) for name, n in module.state_dict().items() if name.endswith("num_batches_tracked")}
    assert counted
    assert set(counted.values()) == {len(modes.in_eval)}


@pytest.mark.parametrize("frozen", [("encoder", "qformer"), ("encoder",), ("qformer",), ()])
def test_stage_2_trains_what_it_does_not_freeze(
    fitted: tuple[DiseaseClassification, Modes, Path], llm_folder: Path, frozen: tuple[str, ...]
) -> None:
    """A checkpoint's network is loaded in eval mode; its trained parts must then be in training mode."""
    classifier = load_stage1(fitted[2], trainable=True).classifier
    network = build(llm_folder, classifier=classifier, freeze=frozen, banks=(None, None), **MEMORYLESS)
    for part, module in (("encoder", classifier.encoder), ("qformer", classifier.qformer)):
        trained = part not in frozen
        assert {p.requires_grad for p in module.parameters()} == {trained}, part
        assert {m.training for m in module.modules()} == {trained}, part
    assert load_stage1(fitted[2]).classifier.encoder.backbone.training is False
    assert not any(p.requires_grad for p in load_stage1(fitted[2]).classifier.parameters())
    with torch.no_grad():
        token_budget(network, 64)  # reads a film in eval mode
    assert {m.training for m in classifier.encoder.modules()} == {"encoder" not in frozen}


MEMORYLESS = {"visual_memory": False, "report_memory": False}


def test_maps_on_a_film_leave_a_frozen_encoder_at_rest(llm_folder: Path) -> None:
    """W&B's samples are drawn between epochs, from a network that may be half frozen."""
    from types import SimpleNamespace

    from callbacks.samples import Samples

    network = build(llm_folder, freeze=("encoder",), banks=(None, None), **MEMORYLESS)
    example = SimpleNamespace(
        films=[torch.zeros(48, 48, dtype=torch.uint8).numpy()], report="", study_id="s", projections=["frontal"]
    )
    shell = SimpleNamespace(network=network, device=torch.device("cpu"), cam="attention")
    Samples.page(Samples.__new__(Samples), shell, example, "")
    assert not any(module.training for module in network.classifier.encoder.modules())
    assert all(module.training for module in network.classifier.qformer.modules())
