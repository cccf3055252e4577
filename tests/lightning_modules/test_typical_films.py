"""Stage 1 fits its film distance at each validation, on any number of processes, and saves it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning import Callback, LightningModule, Trainer, seed_everything

from ammrg.networks.film_distance import FilmFeatures, fit_distance
from ammrg.networks.visual_encoder import VisualEncoder
from callbacks.averaged_weights import AveragedWeights
from callbacks.provenance import Provenance
from datamodules.phantom import PhantomDataModule
from experiments.data.preparation import prepare
from lightning_modules import typical_films
from lightning_modules.disease_classification import DiseaseClassification
from lightning_modules.stage1_checkpoint import load_stage1
from lightning_modules.typical_films import TypicalFilms
from tests.quiet_trainer import quiet_trainer
from tests.tiny_encoder import ENCODER


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom")
    prepare("phantom", None, folder, size=64, workers=1, studies={"train": 40, "val": 20, "test": 4})
    return folder


def module_of(folder: Path) -> PhantomDataModule:
    return PhantomDataModule(str(folder), image_size=32, batch_size=8, num_workers=0)


def stage1() -> DiseaseClassification:
    seed_everything(0)
    qformer = {"width": 16, "layers": 1, "heads": 2}
    return DiseaseClassification(encoder=ENCODER, qformer=qformer, bootstrap=5, warmup_steps=1)


@pytest.mark.parametrize("averaged", [True, False])
def test_a_checkpoint_keeps_the_distance_of_its_own_weights(data: Path, tmp_path: Path, averaged: bool) -> None:
    films, saved = module_of(data), tmp_path / "best.ckpt"

    class Saves(Callback):
        def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            if not trainer.sanity_checking:
                trainer.save_checkpoint(saved)

    callbacks = [Provenance(), *([AveragedWeights(0.9)] if averaged else []), Saves()]
    quiet_trainer(tmp_path, max_epochs=1, callbacks=callbacks).fit(stage1(), datamodule=films)
    kept = load_stage1(saved)
    assert kept.dataset == "phantom"
    assert kept.distance is not None
    assert (kept.distance.training_films, kept.distance.validation_films) == (40, 20)
    again = TypicalFilms(module_of(data), alone=True).fit(kept.classifier.encoder, torch.device("cpu"))
    assert again is not None
    for view, other in zip(kept.distance.views, again.views, strict=True):
        torch.testing.assert_close(view.mean, other.mean)
    assert kept.distance.limit == pytest.approx(again.limit, rel=1e-3)
    with torch.no_grad():
        shown = films.typical_films("val", 20)
        own = kept.distance(shown, *kept.classifier.encoder(shown))
        noise = torch.randint(0, 256, (4, 1, 32, 32), dtype=torch.uint8)
        odd = kept.distance(noise, *kept.classifier.encoder(noise))
    assert (own > 1).sum() <= 1
    assert (odd > 1).all()


def test_an_earlier_checkpoint_has_none(data: Path, tmp_path: Path) -> None:
    trainer = quiet_trainer(tmp_path, max_epochs=1, callbacks=[Provenance()])
    module = stage1()
    trainer.fit(module, datamodule=module_of(data))
    trainer.save_checkpoint(tmp_path / "new.ckpt")
    kept = torch.load(tmp_path / "new.ckpt", weights_only=True)
    del kept["film_distance"]
    torch.save(kept, tmp_path / "old.ckpt")
    assert load_stage1(tmp_path / "new.ckpt").distance is not None
    assert load_stage1(tmp_path / "old.ckpt").distance is None
    again = DiseaseClassification.load_from_checkpoint(tmp_path / "old.ckpt", weights_only=True)
    assert again.film_distance is None


def test_processes_share_the_films_and_agree(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    encoder = VisualEncoder(**ENCODER).eval()
    shares = []
    for rank in (0, 1):
        films = module_of(data)
        films.trainer = SimpleNamespace(global_rank=rank, world_size=2, num_devices=1)  # type: ignore[assignment]
        monkeypatch.setattr(typical_films, "gather_all", lambda parts: [parts])
        shares.append(TypicalFilms(films, alone=False))
    parts = {
        split: [share._features(split, encoder, torch.device("cpu")) for share in shares] for split in ("train", "val")
    }
    alone = TypicalFilms(module_of(data), alone=True)
    for split, (one, two) in parts.items():
        whole = alone._features(split, encoder, torch.device("cpu"))
        for left, right, view in zip(one, two, whole, strict=True):
            assert (len(left), len(right)) == (len(view) // 2, len(view) // 2)
            torch.testing.assert_close(torch.stack([left, right], 1).flatten(0, 1), view)
    expected = alone.fit(encoder, torch.device("cpu"))
    found = fit_distance(*(FilmFeatures(*map(torch.cat, zip(*both, strict=True))) for both in parts.values()))
    assert expected is not None
    assert found is not None
    assert found.limit == pytest.approx(expected.limit, rel=1e-3)


def test_typical_films_are_those_of_training_one_a_study(data: Path) -> None:
    films = module_of(data)
    whole = films.typical_films("train", 1000)
    assert whole.shape == (40, 1, 32, 32)
    assert whole.dtype == torch.uint8
    assert torch.equal(films.typical_films("train", 3), whole[[0, 20, 39]])  # evenly spaced, first and last
    first = next(iter(films.evaluation_loader("train", alone=True)))
    places = np.flatnonzero(np.diff(first.study_of_view.numpy(), prepend=-1))
    assert torch.equal(whole[0], first.images[places[0]])
    folded = PhantomDataModule(str(data), image_size=32, num_workers=0, folds=2, left_out_fold=0)
    assert 0 < len(folded.typical_films("train", 1000)) < 40
