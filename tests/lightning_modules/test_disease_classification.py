"""Stage 1 through a real Trainer on drawn blobs, its scores against independent ones."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningModule, Trainer, seed_everything
from sklearn.metrics import roc_auc_score
from torch.utils.data import DataLoader, Dataset

from ammrg.errors import AMMRGError, SettingsError
from ammrg.findings import FINDINGS, NO_FINDING, NUM_FINDINGS
from ammrg.memory.regions import Region
from ammrg.networks.disease_classifier import DiseaseClassifier
from ammrg.types import Box, StudyBatch
from lightning_modules.disease_classification import DiseaseClassification, PointingGame, training_targets
from lightning_modules.optimizers import adamw_cosine

SIDE, SPOTS = 48, 4
SETTINGS: dict[str, Any] = {
    "encoder": {
        "config": {
            "model_type": "resnet",
            "num_channels": 1,
            "embedding_size": 8,
            "hidden_sizes": [8, 16],
            "depths": [1, 1],
            "layer_type": "basic",
        }
    },
    "qformer": {"width": 16, "layers": 1, "heads": 2, "dropout": 0.0},
    "bootstrap": 20,
    "lr": 3e-3,
    "warmup_steps": 2,
    "cam": "hirescam",
}


class Blobs(Dataset[tuple[torch.Tensor, list[float], list[Box]]]):
    """Findings 0 .. 3 are a bright blob each in its own quarter of the film."""

    def __init__(self, count: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.items = [self._draw(generator) for _ in range(count)]

    def _draw(self, generator: torch.Generator) -> tuple[torch.Tensor, list[float], list[Box]]:
        film = torch.randint(60, 100, (1, SIDE, SIDE), generator=generator, dtype=torch.uint8)
        labels, boxes = [math.nan] * NUM_FINDINGS, []
        for finding in range(SPOTS):
            if torch.rand((), generator=generator) < 0.4:
                row, column = (torch.randint(2, 14, (2,), generator=generator)).tolist()
                row, column = row + 24 * (finding // 2), column + 24 * (finding % 2)
                film[0, row : row + 8, column : column + 8] += 100
                labels[finding] = 1.0
                boxes.append(Box(0, finding, column / SIDE, row / SIDE, (column + 8) / SIDE, (row + 8) / SIDE))
        labels[NO_FINDING] = math.nan if boxes else 1.0
        return film, labels, boxes

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return (index, *self.items[index])


def collate(rows: list[Any]) -> StudyBatch:
    return StudyBatch(
        images=torch.stack([film for _, film, _, _ in rows]),
        study_of_view=torch.arange(len(rows)),
        labels=torch.tensor([labels for _, _, labels, _ in rows]),
        reports=[""] * len(rows),
        study_ids=[f"s{index}" for index, *_ in rows],
        subject_ids=[f"p{index // 2}" for index, *_ in rows],
        projections=["frontal"] * len(rows),
        boxes=[box._replace(view=i) for i, (*_, boxes) in enumerate(rows) for box in boxes],
    )


def loader(count: int, seed: int, shuffle: bool = False) -> DataLoader[Any]:
    return DataLoader(Blobs(count, seed), batch_size=16, shuffle=shuffle, collate_fn=collate)


def trainer(folder: Path, **changes: Any) -> Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    return Trainer(default_root_dir=folder, **{**quiet, **changes})  # type: ignore[arg-type]


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
    trainer(tmp_path).test(module, [loader(64, 2), loader(64, 3)], verbose=False)
    assert set(module.scores) == {"val", "test"}
    scores = module.scores["test"]
    json.dumps(scores)
    for finding in range(SPOTS):
        assert scores["auroc"][FINDINGS[finding]]["value"] > 0.9
    assert scores["auroc"][FINDINGS[8]] == {"value": None, "low": None, "high": None}  # a finding without a positive
    assert scores["auroc_macro"]["low"] <= scores["auroc_macro"]["value"] <= scores["auroc_macro"]["high"]
    assert scores["pointing_game"]["value"] > scores["pointing_game_mean_map"]["value"]
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
    for film, region in regions:
        assert isinstance(region, Region)
        assert region.token.shape == (16,)
        assert data[int(film.study_id[1:])][2][region.finding] == 1.0  # labelled positive


def test_targets() -> None:
    nan = math.nan
    labels = torch.full((3, NUM_FINDINGS), nan)
    labels[0, :3] = torch.tensor([1.0, 0.0, -1.0])
    labels[1, 0] = 0.0
    targets, mask = training_targets(labels)
    assert targets[0, :4].tolist() == [1, 0, 0, 0]
    assert mask[0, :4].tolist() == [1, 1, 0, 1]  # blank is negative, uncertain is left out
    assert mask[2].sum() == 0  # unlabelled
    for policy, value in {"ones": 1.0, "zeros": 0.0, "smooth": 0.7}.items():
        targets, mask = training_targets(labels, policy)  # type: ignore[arg-type]
        assert targets[0, 2].item() == pytest.approx(value)
        assert mask[0, 2] == 1
    labels[1, 4] = 2.0
    with pytest.raises(SettingsError, match=r"Edema of study 1 of the batch is 2\.0"):
        training_targets(labels)
    with pytest.raises(SettingsError, match=r"model\.uncertain"):
        training_targets(labels[:1], "maybe")  # type: ignore[arg-type]


def test_unlabelled_studies_and_uncertain_labels_move_nothing() -> None:
    module = DiseaseClassification(**SETTINGS)
    batch = collate([Blobs(3, 0)[i] for i in range(3)])
    batch.labels[1] = math.nan
    batch.labels[2, 3] = -1.0
    logits = torch.randn(3, NUM_FINDINGS, requires_grad=True)
    module._loss(logits, batch).backward()
    assert logits.grad is not None
    assert logits.grad[1].abs().sum() == 0
    assert logits.grad[2, 3] == 0
    assert (logits.grad[0] != 0).all()


def test_pointing_game_by_hand() -> None:
    batch = collate([Blobs(1, 0)[0], Blobs(2, 0)[1]])
    labels = torch.full((2, NUM_FINDINGS), math.nan)
    labels[0, 1], labels[1, 1], labels[1, 2] = 1.0, 1.0, -1.0
    boxes = [
        Box(0, 1, 0.0, 0.0, 0.2, 0.2),  # two boxes of one case: one hit is enough
        Box(0, 1, 0.75, 0.75, 1.0, 1.0),
        Box(1, 1, 0.0, 0.0, 0.25, 0.25),
        Box(1, 2, 0.0, 0.0, 1.0, 1.0),  # uncertain: no case
    ]
    maps = torch.zeros(2, NUM_FINDINGS, 4, 4)
    maps[0, 1, 3, 3] = 1.0
    maps[1, 1, 0, 3] = 5.0
    game = PointingGame()
    game.update(maps, batch._replace(labels=labels, boxes=boxes))
    cases = game.compute()
    assert cases is not None
    findings, _, hits, mean = cases
    assert findings.tolist() == [1, 1]
    assert sorted(hits.tolist()) == [0.0, 1.0]
    assert sorted(mean.tolist()) in ([0.0, 0.0], [0.0, 1.0])
    maps[1, 1] = 0.0  # a map of zeros points nowhere
    game.reset()
    game.update(maps, batch._replace(labels=labels, boxes=boxes))
    assert game.compute()[2].sum() == 1  # type: ignore[index]
    # Just beside the box: centre at 0.125, box from 0.125 + tolerance.
    game.reset()
    near = [Box(0, 1, 0.125 + 14 / 224, 0.0, 1.0, 0.2), Box(1, 1, 0.125 + 16 / 224, 0.0, 1.0, 0.2)]
    maps[:, 1] = 0.0
    maps[:, 1, 0, 0] = 1.0
    game.update(maps, batch._replace(labels=labels, boxes=near))
    assert sorted(game.compute()[2].tolist()) == [0.0, 1.0]  # type: ignore[index]


def test_a_loss_that_is_not_finite_names_the_studies() -> None:
    module = DiseaseClassification(**SETTINGS)
    with torch.no_grad():
        module.classifier.head.bias.fill_(math.nan)
    with pytest.raises(AMMRGError, match="s0, s1"):
        module.training_step(collate([Blobs(2, 0)[i] for i in range(2)]), 0)


def test_schedule_and_groups() -> None:
    encoder, head = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    both = torch.nn.ModuleList([encoder, head])
    found: Any = adamw_cosine([(encoder, 0.1), (both, 1.0)], 1e-2, 0.1, warmup_steps=4, total_steps=20)
    groups = found["optimizer"].param_groups
    assert [(g["initial_lr"], g["weight_decay"], len(g["params"])) for g in groups] == [
        (1e-3, 0.1, 1),
        (1e-3, 0.0, 1),
        (1e-2, 0.1, 1),
        (1e-2, 0.0, 1),
    ]
    rates = []
    for _ in range(20):
        rates.append(groups[-1]["lr"])
        found["optimizer"].step()
        found["lr_scheduler"]["scheduler"].step()
    assert rates[:5] == pytest.approx([0.002, 0.004, 0.006, 0.008, 0.01])
    assert all(a > b for a, b in itertools.pairwise(rates[4:]))
    assert groups[-1]["lr"] == pytest.approx(1e-4)
    with pytest.raises(SettingsError, match=r"model\.warmup_steps \(20\)"):
        adamw_cosine([(both, 1.0)], 1e-2, warmup_steps=20, total_steps=20)
    both.requires_grad_(False)
    with pytest.raises(SettingsError, match="no parameter"):
        adamw_cosine([(both, 1.0)], 1e-2, total_steps=20)


def test_token_loss_teaches_encoder_and_head_and_needs_a_head_per_query(tmp_path: Path) -> None:
    module = DiseaseClassification(**{**SETTINGS, "token_loss": 2.0})
    assert module.token_bias is not None
    before = module.token_bias.detach().clone()
    trainer(tmp_path, max_steps=3, enable_checkpointing=False).fit(module, loader(48, 1), loader(16, 2))
    assert (module.token_bias != before).all()
    assert not any(name.startswith("token") for name in module.classifier.state_dict())  # a training aid only
    with pytest.raises(SettingsError, match=r"model\.token_loss"):
        DiseaseClassification(**{**SETTINGS, "head": "pooled", "token_loss": 2.0})
    assert DiseaseClassification(**{**SETTINGS, "head": "pooled"}).token_bias is None


def test_more_loaders_than_names() -> None:
    module: LightningModule = DiseaseClassification(**SETTINGS)
    with pytest.raises(SettingsError, match=r"model\.test_splits"):
        module.test_step(collate([Blobs(1, 0)[0]]), 0, dataloader_idx=1)
