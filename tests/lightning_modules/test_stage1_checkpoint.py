"""Loading a stage-1 checkpoint for stage 2: its content, and refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from ammrg.errors import CheckpointError
from ammrg.networks.disease_classifier import HeadKind
from lightning_modules.disease_classification import DiseaseClassification
from lightning_modules.stage1_checkpoint import load_stage1

RESNET = {"model_type": "resnet", "num_channels": 1, "embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}
SETTINGS: dict[str, Any] = {"encoder": {"config": RESNET}, "qformer": {"width": 16, "layers": 1, "heads": 2}}


def save(path: Path, head: HeadKind = "per_query", **changes: Any) -> DiseaseClassification:
    torch.manual_seed(0)
    module = DiseaseClassification(**SETTINGS, head=head, cam="auto")
    module.classifier.thresholds.copy_(torch.linspace(0.1, 0.9, 14))
    module.chosen_cam.fill_(2)
    checkpoint: dict[str, Any] = {
        "state_dict": module.state_dict(),
        "hyper_parameters": dict(module.hparams),
        "provenance": {"module": "DiseaseClassification", "data_fingerprint": "d", "image_size": 64},
    }
    module.on_save_checkpoint(checkpoint)
    torch.save({**checkpoint, **changes}, path)
    return module


def test_network_thresholds_and_map_method_travel(tmp_path: Path) -> None:
    module = save(tmp_path / "best.ckpt")
    stage1 = load_stage1(tmp_path / "best.ckpt")
    films = torch.randint(0, 256, (2, 1, 64, 64), dtype=torch.uint8)
    torch.testing.assert_close(stage1.classifier(films).logits, module.classifier.eval()(films).logits)
    assert stage1.classifier.thresholds.tolist() == pytest.approx(torch.linspace(0.1, 0.9, 14).tolist())
    assert stage1.fingerprint == module.fingerprint
    assert (stage1.cam, stage1.image_size, stage1.data_fingerprint) == ("attention", 64, "d")
    assert not stage1.classifier.training
    assert not any(parameter.requires_grad for parameter in stage1.classifier.parameters())


def test_untied_heads_are_no_earlier_version(tmp_path: Path) -> None:
    untied = save(tmp_path / "untied.ckpt", head="untied")
    assert load_stage1(tmp_path / "untied.ckpt").fingerprint == untied.fingerprint
    checkpoint = torch.load(tmp_path / "untied.ckpt", weights_only=True)
    untied.on_load_checkpoint(checkpoint)
    # with other settings it is refused, because weights do not fit
    save(tmp_path / "tied.ckpt").on_load_checkpoint(checkpoint)


def test_refusals(tmp_path: Path) -> None:
    path = tmp_path / "best.ckpt"
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_stage1(path)
    module = save(path, classifier_fingerprint="another")
    with pytest.raises(CheckpointError, match="the file says another: it was changed or is damaged"):
        load_stage1(path)
    weights = module.state_dict()
    weights["classifier.head.reading"] = torch.zeros(14, 8)
    save(path, state_dict=weights)
    with pytest.raises(CheckpointError, match="do not fit its own settings"):
        load_stage1(path)
    weights["classifier.head.weight"] = weights.pop("classifier.head.reading")
    save(path, state_dict=weights)
    with pytest.raises(CheckpointError, match=r"best.ckpt: was trained by an earlier version.* train stage 1 again"):
        load_stage1(path)
    with pytest.raises(CheckpointError, match="this checkpoint of stage 1: was trained by an earlier version"):
        module.on_load_checkpoint(torch.load(path, weights_only=True))
    torch.save({"state_dict": {}, "provenance": {"module": "ReportGeneration"}}, path)
    with pytest.raises(CheckpointError, match="contains ReportGeneration, not DiseaseClassification"):
        load_stage1(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="not a whole checkpoint"):
        load_stage1(path)
