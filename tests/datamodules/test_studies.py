"""The data module: evaluation is whole and in order, training shuffled and augmented, for any worker count."""

from __future__ import annotations

import lightning
import numpy as np
import pytest
import torch

from ammrg.errors import DataError, SettingsError
from ammrg.imaging.reading import read_film
from ammrg.imaging.transforms import eval_transform
from ammrg.types import Box, Study, StudyBatch, View
from datamodules.iu_xray import IUXRayDataModule
from datamodules.phantom import PhantomDataModule
from datamodules.shards import to_jpeg, write_shards
from datamodules.sources.source_reading import SourceReading
from datamodules.studies import StudyDataModule

NAN = float("nan")
SIZE = 32


def film(study: int, view: int, split: str) -> np.ndarray:
    """A gradient whose level identifies the study, with a step that distinguishes left from right."""
    level = 20 + 6 * study + 2 * view + {"train": 0, "val": 1, "test": 2}[split] * 40
    pixels = np.full((48, 40), min(level, 250), np.uint8)
    pixels[:, 30:] = 0
    return pixels


def study(number: int, split: str, **fields: object) -> Study:
    views = ("frontal", "lateral") if number % 3 else ("lateral",)
    made = Study(
        study_id=f"{split}{number}",
        subject_id=f"{split}-p{number}",
        split=split,
        views=tuple(View(to_jpeg(film(number, i, split)), name) for i, name in enumerate(views)),
        findings=f"Report of {split} {number}.",
        impression="",
        indication="",
        labels=(1.0, 0.0) + (NAN,) * 12,
        source="test",
        boxes=(Box(0, 1, 0.25, 0.25, 0.5, 0.5), Box(len(views) - 1, 2, 0.25, 0.25, 0.5, 0.5)),
    )
    return made._replace(**fields)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("prepared")
    studies = {split: [study(i, split) for i in range(n)] for split, n in (("train", 11), ("val", 5), ("test", 7))}
    studies["train"][4] = study(4, "train", labels=(NAN,) * 14)
    studies["train"][5] = study(5, "train", findings="")
    studies["val"][2] = study(2, "val", labels=(NAN,) * 14)
    settings = {"section": "findings", "seed": 0, "size": 48}
    write_shards(
        SourceReading(studies, "test", 40),
        path,
        dataset="phantom",
        settings=settings,
        size=48,
        section="findings",
        workers=1,
    )
    return str(path)


def module(folder: str, **options: object) -> StudyDataModule:
    return StudyDataModule(folder, **{"image_size": SIZE, "batch_size": 3, "num_workers": 0, **options})


def ids(loader) -> list[str]:
    return [name for batch in loader for name in batch.study_ids]


def films_by_study(loader) -> dict[str, torch.Tensor]:
    return {
        name: batch.images[batch.study_of_view == row] for batch in loader for row, name in enumerate(batch.study_ids)
    }


def test_evaluation_keeps_every_study_in_order_unvaried(folder):
    data = module(folder)
    for split, loader in (("val", data.val_dataloader()), ("test", data.test_dataloader())):
        loader = loader[0] if isinstance(loader, list) else loader
        assert ids(loader) == data.ids(split)[0] == [f"{split}{i}" for i in range(len(data.rows(split)))]
    rows = data.rows("test")
    wanted = eval_transform(SIZE)(read_film(rows[0]["images"][0]))
    loader = data.predict_dataloader()
    assert np.array_equal(next(iter(loader)).images[0, 0].numpy(), wanted)
    assert data.texts("val")[1] == "Report of val 1."


def test_training_leaves_out_studies_that_teach_nothing_and_counts_them(folder):
    data = module(folder)
    assert sorted(ids(data.train_dataloader())) == sorted(f"train{i}" for i in range(11) if i != 5)
    assert data.left_out == {"without_report": 1, "without_label": 0}
    data = module(folder, labelled_only=True)
    assert sorted(ids(data.train_dataloader())) == sorted(f"train{i}" for i in range(11) if i not in (4, 5))
    assert data.left_out == {"without_report": 1, "without_label": 1}
    assert "val2" in ids(data.val_dataloader())


def test_a_fold_is_left_out_of_training_and_alone_in_prediction(folder):
    left_out = [module(folder, folds=2, left_out_fold=fold, predict_split="train") for fold in (0, 1)]
    trained = [ids(data.train_dataloader()) for data in left_out]
    read = [ids(data.predict_dataloader()) for data in left_out]
    every = module(folder).ids("train")[0]
    assert sorted(read[0] + read[1]) == sorted(every)
    assert read[0]
    assert read[1]
    for data, mine, theirs in zip(left_out, trained, read, strict=True):
        assert not set(mine) & set(theirs)
        assert set(mine) == set(every) - set(theirs) - {"train5"}
        assert len(data.training_labels()) == len(mine)
    assert ids(module(folder, folds=2, left_out_fold=0).val_dataloader()) == ids(module(folder).val_dataloader())
    with pytest.raises(SettingsError, match=r"data\.left_out_fold \(2\) must be one of data\.folds \(2\)"):
        module(folder, folds=2, left_out_fold=2)


def test_patients_who_are_trained_on_and_those_who_judge(folder):
    assert module(folder).training_patients() == {f"train-p{i}" for i in range(11)}
    folds = [module(folder, folds=2, left_out_fold=fold).training_patients() for fold in (0, 1)]
    assert folds[0] | folds[1] == module(folder).training_patients()
    assert not folds[0] & folds[1]
    held_out = {f"val-p{i}" for i in range(5)} | {f"test-p{i}" for i in range(7)}
    assert module(folder, folds=2, left_out_fold=0).held_out_patients() == held_out
    drawn = module(folder)
    drawn.prepared.card["restricted"] = False
    assert drawn.training_patients() == drawn.held_out_patients() == set()


def test_each_epoch_has_its_own_order_and_variation_for_any_number_of_workers(folder):
    def epochs(workers: int, seed: int) -> list[tuple[list[str], dict[str, torch.Tensor]]]:
        loader = module(folder, num_workers=workers, seed=seed).train_dataloader()
        passes = []
        for _ in range(2):
            batches = list(loader)
            passes.append((ids(batches), films_by_study(batches)))
        return passes

    alone, helped, other = epochs(0, 1), epochs(2, 1), epochs(0, 2)
    for (order, films), (order_helped, films_helped) in zip(alone, helped, strict=True):
        assert order == order_helped
        assert all(torch.equal(films[name], films_helped[name]) for name in films)
    assert alone[0][0] != alone[1][0]
    assert alone[0][0] != other[0][0]
    assert any(not torch.equal(alone[0][1][name], alone[1][1][name]) for name in alone[0][1])


def test_seed_everything_decides_where_no_seed_is_given(folder, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    by_run = ids(module(folder).train_dataloader())
    assert by_run == ids(module(folder, seed=7).train_dataloader())


def test_without_augmentation_training_shows_the_film_itself(folder):
    data = module(folder, augment=False)
    films = films_by_study(data.train_dataloader())
    place = data.ids("train")[0].index("train1")
    wanted = eval_transform(SIZE)(read_film(data.rows("train")[place]["images"][0]))
    assert np.array_equal(films["train1"][0, 0].numpy(), wanted)


def test_frontal_only_except_where_there_is_none(folder):
    for batch in module(folder, views="frontal").predict_dataloader():
        for row, name in enumerate(batch.study_ids):
            shown = [batch.projections[i] for i in range(len(batch.projections)) if batch.study_of_view[i] == row]
            assert shown == (["lateral"] if int(name[4:]) % 3 == 0 else ["frontal"])


def test_boxes_count_films_of_the_batch(folder):
    batch: StudyBatch = next(iter(module(folder, predict_split="test").predict_dataloader()))
    first = {name: batch.study_of_view.tolist().index(row) for row, name in enumerate(batch.study_ids)}
    assert {box.view for box in batch.boxes if box.finding == 1} == set(first.values())
    assert next(box for box in batch.boxes)[2:] == (0.25, 0.25, 0.5, 0.5)


def test_shuffled_films_are_all_of_other_studies_and_fixed(folder):
    own = films_by_study(module(folder).predict_dataloader())
    first = films_by_study(module(folder, films="shuffled").predict_dataloader())
    second = films_by_study(module(folder, films="shuffled", seed=9).predict_dataloader())
    owner = {}
    for name, shown in first.items():
        (owner[name],) = [
            other for other, true in own.items() if true.shape == shown.shape and torch.equal(true, shown)
        ]
        assert torch.equal(shown, second[name])
    assert all(name != shown for name, shown in owner.items())
    assert sorted(owner.values()) == sorted(own)
    # Text and labels stay the study's own; training films are never exchanged.
    assert next(iter(module(folder, films="shuffled").predict_dataloader())).reports[0] == "Report of test 0."
    plain = films_by_study(module(folder, augment=False).train_dataloader())
    kept = films_by_study(module(folder, augment=False, films="shuffled").train_dataloader())
    assert all(torch.equal(plain[name], kept[name]) for name in plain)


def test_noise_shows_nothing_of_the_film_and_is_fixed(folder):
    noise = films_by_study(module(folder, films="noise").predict_dataloader())
    again = films_by_study(module(folder, films="noise", num_workers=1).predict_dataloader())
    own = films_by_study(module(folder).predict_dataloader())
    for name, shown in noise.items():
        assert shown.shape == own[name].shape
        assert torch.equal(shown, again[name])
        assert 110 < shown.float().mean() < 145
    assert next(iter(module(folder, films="noise").predict_dataloader())).boxes == []


def test_mirrored_films_are_flipped_left_to_right_with_their_boxes(folder):
    own, mirrored = (list(module(folder, films=films).predict_dataloader()) for films in ("own", "mirrored"))
    for plain, flipped in zip(own, mirrored, strict=True):
        # Resizing adds its products in another order, so a pixel may round to the next grey.
        gap = flipped.images.int() - plain.images.flip(3).int()
        assert gap.abs().max() <= 1
        assert (flipped.images.int() - plain.images.int()).abs().max() > 40
        assert flipped.reports == plain.reports
        assert flipped.projections == plain.projections
        assert flipped.boxes == [box._replace(x0=0.5, x1=0.75) for box in plain.boxes]
        assert {(box.x0, box.x1) for box in plain.boxes} == {(0.25, 0.5)}


@pytest.mark.parametrize("augment", [False, True])
def test_training_never_sees_a_mirrored_film(folder, augment):
    plain, kept = (
        list(module(folder, augment=augment, films=films, seed=1).train_dataloader()) for films in ("own", "mirrored")
    )
    for one, other in zip(plain, kept, strict=True):
        assert torch.equal(one.images, other.images)
        assert one.boxes == other.boxes
        assert one.study_ids == other.study_ids


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 4}, "image_size"),
        ({"image_size": 9000}, "image_size"),
        ({"batch_size": 0}, "batch_size"),
        ({"eval_batch_size": 0}, "eval_batch_size"),
        ({"num_workers": -1}, "num_workers"),
        ({"repeat_threshold": 1.5}, "repeat_threshold"),
        ({"films": "other"}, "films"),
        ({"views": "side"}, "views"),
        ({"predict_split": "dev"}, "predict_split"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(folder, options, message):
    with pytest.raises(SettingsError, match=message):
        module(folder, **options)


def test_a_folder_of_another_data_set_is_refused(folder):
    PhantomDataModule(folder).setup()
    with pytest.raises(DataError, match="contains phantom, but IUXRayDataModule reads iu_xray"):
        IUXRayDataModule(folder).setup()


def test_workers_are_a_share_of_the_cores_unless_given(folder, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(6)), raising=False)
    assert module(folder, num_workers=None).workers == 6
    assert module(folder, num_workers=3).workers == 3
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(64)), raising=False)
    assert module(folder, num_workers=None).workers == 8


def test_an_unprepared_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="make data"):
        module(str(tmp_path)).prepare_data()


def test_defaults_of_the_data_sets():
    assert PhantomDataModule().hparams["folder"] == "data/phantom"
    assert IUXRayDataModule(batch_size=4).hparams["folder"] == "data/iu_xray"
    assert IUXRayDataModule(batch_size=4).batch_size == 4


class Collector(lightning.LightningModule):
    """Records the ids of its batches."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.shown: dict[int, list[str]] = {}
        self.validated: list[str] = []

    def training_step(self, batch: StudyBatch, batch_idx: int) -> torch.Tensor:
        assert isinstance(batch, StudyBatch)
        self.shown.setdefault(self.current_epoch, []).extend(batch.study_ids)
        return self.weight * 0

    def validation_step(self, batch: StudyBatch, batch_idx: int) -> None:
        self.validated += batch.study_ids

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_the_trainer_takes_it_and_every_epoch_sees_every_study_once(folder):
    collector = Collector()
    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(collector, datamodule=module(folder))
    wanted = sorted(f"train{i}" for i in range(11) if i != 5)
    assert [sorted(collector.shown[epoch]) for epoch in (0, 1)] == [wanted, wanted]
    assert collector.shown[0] != collector.shown[1]
    assert sorted(collector.validated) == sorted(2 * [f"val{i}" for i in range(5)])
