"""Stage 1 trained by a real Trainer on drawn blobs, and its scores against independent computations."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning import Callback, LightningDataModule, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import EarlyStopping
from sklearn.metrics import roc_auc_score
from torch.utils.data import DataLoader

from ammrg.errors import SettingsError
from ammrg.findings import FINDINGS, NO_FINDING, NUM_FINDINGS
from ammrg.fingerprints import tensors_fingerprint
from ammrg.memory.regions import Region
from ammrg.metrics.epoch_ranking import rank
from ammrg.networks.disease_classifier import DiseaseClassifier
from callbacks.averaged_weights import AveragedWeights
from lightning_modules.disease_classification import DiseaseClassification
from tests.lightning_modules.blobs import SETTINGS, SPOTS, Blobs, collate, loader, trainer

CONFIGS = Path(__file__).parents[2] / "experiments" / "configs"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[DiseaseClassification, Path]:
    folder = tmp_path_factory.mktemp("stage1")
    seed_everything(0)
    module = DiseaseClassification(**SETTINGS)
    fit = trainer(folder, max_epochs=14, enable_checkpointing=False)
    fit.fit(module, loader(160, 1, shuffle=True), loader(64, 2))
    fit.save_checkpoint(folder / "last.ckpt")
    return module, folder / "last.ckpt"


def test_it_learns_and_scores_itself(trained: tuple[DiseaseClassification, Path], tmp_path: Path) -> None:
    _, path = trained
    module = DiseaseClassification.load_from_checkpoint(path, weights_only=True, test_splits=["val", "test"])
    judge = trainer(tmp_path)
    judge.test(module, [loader(64, 2), loader(64, 3)], verbose=False)
    assert set(module.scores) == {"val", "test"}
    scores = module.scores["test"]
    logged = judge.callback_metrics
    assert logged["scores/test/auroc_macro"] == pytest.approx(scores["auroc_macro"]["value"])
    assert "val/auroc_macro" not in logged  # the mean that compares epochs does not change
    json.dumps(scores)
    for finding in range(SPOTS):
        assert scores["auroc"][FINDINGS[finding]]["value"] > 0.9
    assert scores["auroc"][FINDINGS[8]] == {"value": None, "low": None, "high": None}  # a finding without a positive
    assert scores["auroc_macro"]["low"] <= scores["auroc_macro"]["value"] <= scores["auroc_macro"]["high"]
    assert scores["pointing_game"]["value"] > scores["pointing_game_mean_map"]["value"]
    assert FINDINGS[8] in scores["undefined"]
    assert FINDINGS[0] not in scores["undefined"]
    assert set(scores["ece_by_finding"]) == set(FINDINGS)
    assert scores["thresholds"][FINDINGS[8]]["fallback"]
    assert not scores["thresholds"][FINDINGS[0]]["fallback"]

    batches = list(loader(64, 3))
    with torch.no_grad():
        logits = torch.cat([module.eval()(batch) for batch in batches])
    truth = torch.cat([batch.labels for batch in batches]).nan_to_num(0)
    expected = [roc_auc_score(truth[:, i], logits[:, i]) for i in (*range(SPOTS), NO_FINDING)]
    assert scores["auroc_macro"]["value"] == pytest.approx(sum(expected) / len(expected), abs=1e-6)


def test_checkpoint_brings_thresholds_and_rebuilds_the_network(trained: tuple[DiseaseClassification, Path]) -> None:
    module, path = trained
    kept = torch.load(path, weights_only=True)
    again = DiseaseClassification.load_from_checkpoint(path, weights_only=True)
    assert again.fingerprint == module.fingerprint == kept["classifier_fingerprint"]
    assert (again.classifier.thresholds != 0.5).any()
    assert again.train_prevalence[:SPOTS].min() > 0.2
    network = DiseaseClassifier.from_config(kept["classifier_config"])
    prefix = "classifier."
    network.load_state_dict({k[len(prefix) :]: v for k, v in kept["state_dict"].items() if k.startswith(prefix)})
    film = collate([Blobs(1, 5)[0]]).images
    torch.testing.assert_close(network.eval()(film).logits, module.classifier.eval()(film).logits)


@pytest.mark.parametrize("inference_mode", [True, False])
def test_mining(trained: tuple[DiseaseClassification, Path], tmp_path: Path, inference_mode: bool) -> None:
    module, _ = trained
    module.hparams["regions"] = {"per_finding": 2}
    films = trainer(tmp_path, inference_mode=inference_mode).predict(module, loader(32, 1))
    films = [film for batch in films for film in batch]  # type: ignore[union-attr]
    assert [film.study_id for film in films] == [f"s{i}" for i in range(32)]
    assert {film.view for film in films} == {0}
    data = Blobs(32, 1)
    regions = [(film, region) for film, (*_, labels, _) in zip(films, data, strict=True) for region in film.regions]
    assert len(regions) > 20
    thresholds = module.classifier.thresholds
    for film, region in regions:
        assert isinstance(region, Region)
        assert region.finding in film.predicted
        assert set(film.predicted) <= set(film.positive)
        assert {box.finding for box in film.boxes} == set(film.positive)
        assert region.score > 0.75 * thresholds[region.finding]
        assert region.token.shape == (16,)
        assert data[int(film.study_id[1:])][2][region.finding] == 1.0  # labelled positive


def test_findings_without_a_positive_are_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = DiseaseClassification(**{**SETTINGS, "warmup_steps": 1})
    trainer(tmp_path, max_epochs=2, enable_checkpointing=False).fit(module, loader(32, 1), loader(16, 2))
    told = [line for line in capsys.readouterr().out.splitlines() if "validation has no positive" in line]
    assert len(told) == 1
    assert "Fracture" in told[0]
    assert "Cardiomegaly" not in told[0]


def test_what_epochs_are_compared_by_is_logged_by_name() -> None:
    module = DiseaseClassification(**SETTINGS)
    logged: dict[str, float] = {}
    module.log = lambda name, value, **_: logged.update({name: float(value)})  # type: ignore[method-assign, assignment]
    module.log_dict = lambda values: logged.update({k: float(v) for k, v in values.items()})  # type: ignore[method-assign, assignment]
    labels = torch.zeros(40, NUM_FINDINGS)
    labels[:10, 0] = 1.0
    probabilities = torch.rand(40, NUM_FINDINGS)
    module.classifier.thresholds.copy_(torch.linspace(0.2, 0.8, NUM_FINDINGS))
    module._log_ranking("train", probabilities, labels)
    found = rank(probabilities, labels, torch.ones_like(labels), module.classifier.thresholds)
    assert found.macro != found.f1_macro
    area = {"train/auroc/Enlarged Cardiomediastinum": float(found.areas["Enlarged Cardiomediastinum"])}
    assert logged == {"train/auroc_macro": float(found.macro), "train/f1_macro": float(found.f1_macro), **area}


def test_training_stops_where_validation_does_not_get_better(tmp_path: Path) -> None:
    """Train with the callback and the score of configs/stage1/default.yaml."""
    default = yaml.safe_load((CONFIGS / "stage1" / "default.yaml").read_text())
    (stop,) = (c for c in default["trainer"]["callbacks"] if c["class_path"].endswith("EarlyStopping"))
    assert stop["init_args"] == {"monitor": "val/auroc_macro", "mode": "max", "patience": 10}
    module = DiseaseClassification(**{**SETTINGS, "warmup_steps": 0, "lr": 1e-30})  # too small to move a weight
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = 0.0  # nothing changes
    callbacks = [EarlyStopping(**{**stop["init_args"], "patience": 2})]
    fit = trainer(tmp_path, max_epochs=20, enable_checkpointing=False, callbacks=callbacks)
    fit.fit(module, loader(16, 1), loader(32, 2))
    assert fit.current_epoch == 3  # the first epoch, and two that are not better


def test_averaged_weights_are_what_a_checkpoint_holds_and_names(tmp_path: Path) -> None:
    module = DiseaseClassification(**{**SETTINGS, "cam": "auto"})
    fit = trainer(tmp_path, max_epochs=2, enable_checkpointing=False, callbacks=[AveragedWeights(0.9)])
    fit.fit(module, loader(64, 1, shuffle=True), loader(32, 2))
    fit.save_checkpoint(tmp_path / "mean.ckpt")  # after training the module holds the average
    kept = torch.load(tmp_path / "mean.ckpt", weights_only=True)
    prefix = "classifier."
    weights = {k[len(prefix) :]: v for k, v in kept["state_dict"].items() if k.startswith(prefix)}
    assert kept["classifier_fingerprint"] == tensors_fingerprint(weights) == module.fingerprint

    class Keep(Callback):
        def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            trainer.save_checkpoint(tmp_path / "last.ckpt")
            self.trained = pl_module.fingerprint

    keep = Keep()
    module = DiseaseClassification(**SETTINGS)
    fit = trainer(tmp_path, max_epochs=2, enable_checkpointing=False, callbacks=[AveragedWeights(0.9), keep])
    fit.fit(module, loader(64, 1, shuffle=True), loader(32, 2))
    kept = torch.load(tmp_path / "last.ckpt", weights_only=True)
    weights = {k[len(prefix) :]: v for k, v in kept["state_dict"].items() if k.startswith(prefix)}
    assert kept["classifier_fingerprint"] == tensors_fingerprint(weights) == module.fingerprint != keep.trained
    # choosing again gives the thresholds of the average
    module.choose_thresholds(*predictions(module, loader(32, 2)))
    torch.testing.assert_close(weights["thresholds"], module.classifier.thresholds)


def predictions(module: DiseaseClassification, batches: DataLoader[Any]) -> tuple[torch.Tensor, torch.Tensor]:
    parts = list(batches)
    with torch.no_grad():
        probabilities = torch.cat([module.eval()(batch) for batch in parts]).sigmoid()
    return probabilities, torch.cat([batch.labels for batch in parts])


def test_films_that_do_not_fit_the_backbone_stop_before_training(tmp_path: Path) -> None:
    class Data(LightningDataModule):
        image_size = 40

        def train_dataloader(self) -> Any:
            raise AssertionError("no film should be loaded")

    vit = {"model_type": "vit", "num_channels": 1, "image_size": 48, "patch_size": 16, "hidden_size": 16}
    vit |= {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    module = DiseaseClassification(**{**SETTINGS, "encoder": {"config": vit}})
    with pytest.raises(SettingsError, match=r"data\.image_size: films of 40 x 40 do not fit .* made for 48 pixels"):
        trainer(tmp_path, max_epochs=1).fit(module, datamodule=Data())


def test_a_new_head_starts_at_the_prevalence_of_the_training_studies(tmp_path: Path) -> None:
    class Data(LightningDataModule):
        def training_labels(self) -> Any:
            labels = torch.full((10, NUM_FINDINGS), math.nan)
            labels[:3, 0], labels[3:5, 0] = 1.0, -1.0  # uncertain ones are ignored: 3 of 8
            labels[:, NO_FINDING] = 1.0
            return labels.numpy()

        def train_dataloader(self) -> Any:
            return loader(16, 1)

        def val_dataloader(self) -> Any:
            return loader(16, 2)

    started = []

    class Watch(Callback):
        def on_train_batch_start(
            self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
        ) -> None:
            started.append(pl_module.classifier.head.bias.sigmoid().tolist())  # type: ignore[union-attr, operator]

    module = DiseaseClassification(**{**SETTINGS, "warmup_steps": 0})
    fit = trainer(tmp_path, max_epochs=1, enable_checkpointing=False, callbacks=[Watch()])
    fit.fit(module, datamodule=Data())
    assert started[0] == pytest.approx([3 / 8, *[0.002] * 12, 0.998], abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cam": "saliency"}, r"model\.cam: found 'saliency'"),
        ({"cam": "evidence", "head": "pooled"}, r"model\.cam: found 'evidence' with head 'pooled'"),
        ({"regions": {"windows": 3}}, r"^model\.regions\.windows: no such setting; there are .*window"),
        ({"regions": {"share": 2.0}}, r"model\.regions \(windows\): .*share \(2\.0\)"),
        ({"regions": {"cell_shift": 0.5}}, r"^model\.regions\.cell_shift: no such setting; there are .*share"),
        ({"region_form": "discs"}, r"model\.region_form: found 'discs'"),
        ({"region_tokens": "pixels"}, r"model\.region_tokens: found 'pixels'"),
        ({"loss": "hinge"}, r"model\.loss: found 'hinge'"),
        ({"loss": "asymmetric", "margin": 1.5}, r"model\.margin: found 1\.5"),
        ({"pos_weight": [1.0]}, r"model\.pos_weight: found 1 values"),
        ({"lr": 0.0}, r"model\.lr \(0\.0\) must be above 0"),
        ({"lr": math.inf}, r"model\.lr \(inf\) must be above 0 and finite"),
        ({"weight_decay": math.nan}, r"model\.weight_decay \(nan\) must not be negative or infinite"),
        ({"pos_weight": [1.0, -1.0] + [1.0] * 12}, r"model\.pos_weight of Cardiomegaly \(-1\.0\) must be above 0"),
        ({"loss": "asymmetric", "gamma_negative": math.nan}, r"model\.gamma_negative: found nan"),
        ({"test_splits": ["a", "a"]}, r"model\.test_splits: found \['a', 'a'\]; names must differ"),
        ({"bootstrap": 0}, r"model\.bootstrap \(0\) must be above 0"),
        ({"token_loss": -1.0}, r"model\.token_loss \(-1\.0\) must not be negative"),
        ({"report_terms": -1.0}, r"model\.report_terms \(-1\.0\) must not be negative"),
        ({"warmup_steps": -1}, r"model\.warmup_steps \(-1\) must not be negative"),
        ({"final_lr_fraction": 2.0}, r"model\.final_lr_fraction \(2\.0\) must lie between 0 and 1"),
    ],
)
def test_wrong_settings_are_told_at_once(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        DiseaseClassification(**{**SETTINGS, **changes})


def test_auto_takes_the_map_that_points_best_and_the_checkpoint_names_it(tmp_path: Path) -> None:
    module = DiseaseClassification(**{**SETTINGS, "cam": "auto"})
    assert module.cam == "hirescam"
    fit = trainer(tmp_path, max_epochs=6, enable_checkpointing=False)
    fit.fit(module, loader(96, 1, shuffle=True), loader(48, 2))
    points = {
        name.rpartition("/")[2]: float(value) for name, value in fit.callback_metrics.items() if "pointing" in name
    }
    assert set(points) == {"gradcam", "hirescam", "attention", "evidence"}
    assert points[module.cam] == max(points.values())
    fit.save_checkpoint(tmp_path / "auto.ckpt")
    assert torch.load(tmp_path / "auto.ckpt", weights_only=True)["cam"] == module.cam
    again = DiseaseClassification.load_from_checkpoint(tmp_path / "auto.ckpt", weights_only=True)
    assert again.cam == module.cam
    fit.test(again, loader(48, 2), verbose=False)
    scores = again.scores["test"]
    assert scores["cam"] == module.cam
    assert scores["pointing_game"] == scores["pointing_game_by_method"][module.cam]
    # the films are validation's, so the game is the same
    assert scores["pointing_game"]["value"] == pytest.approx(points[module.cam])


def test_auto_without_boxes_takes_what_is_documented(tmp_path: Path) -> None:
    documented: list[tuple[dict[str, Any], str]] = [({}, "hirescam"), ({"head": "untied"}, "hirescam")]
    documented += [({"head": "pooled"}, "gradcam"), ({"token_loss": 1.0}, "evidence")]
    for changes, expected in documented:
        module = DiseaseClassification(**{**SETTINGS, "cam": "auto", "warmup_steps": 0, **changes})
        assert module.cam == expected
    data = Blobs(16, 2)
    data.items = [(film, labels, []) for film, labels, _ in data.items]
    batches = DataLoader(data, batch_size=16, collate_fn=collate)
    trainer(tmp_path, max_epochs=1, enable_checkpointing=False).fit(module, batches, batches)
    assert module.cam == "evidence"
    trainer(tmp_path).test(module, batches, verbose=False)
    assert "pointing_game" not in module.scores["test"]


def test_more_loaders_than_names() -> None:
    module: LightningModule = DiseaseClassification(**SETTINGS)
    with pytest.raises(SettingsError, match=r"model\.test_splits"):
        module.test_step(collate([Blobs(1, 0)[0]]), 0, dataloader_idx=1)
