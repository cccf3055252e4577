"""Loading gives the same studies in the same batches: streamed or mapped, with any processes and workers, resumed."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import fsspec
import lightning
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from ammrg.errors import CheckpointError, DataError, SettingsError
from ammrg.types import Study, StudyBatch, View
from datamodules.dataset import StudyDataset
from datamodules.format import ROWS_PER_GROUP
from datamodules.shards import to_jpeg, write_shards
from datamodules.sources.source_reading import SourceReading
from datamodules.studies import StudyDataModule

ROOT = Path(__file__).parents[2]
SIZES = {"train": 150, "val": 37, "test": 21}
RARE = 1.0, *[float("nan")] * 13
COMMON = *[float("nan")] * 13, 1.0


def study(number: int, split: str) -> Study:
    pixels = torch.full((40, 40), 10 + number, dtype=torch.uint8).numpy()
    views = tuple(View(to_jpeg(pixels), name) for name in ("frontal", "lateral")[: 1 + number % 2])
    labels = RARE if number % 25 == 0 else COMMON
    text = f"Report of {split} {number}."
    return Study(f"{split}{number}", f"{split}-p{number}", split, views, text, "", "", labels, "test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("prepared")
    studies = {split: [study(number, split) for number in range(count)] for split, count in SIZES.items()}
    settings = {"section": "findings", "seed": 0, "size": 40}
    reading = SourceReading(studies, "test", 2 * sum(SIZES.values()))
    write_shards(reading, path, dataset="test", settings=settings, size=40, section="findings", workers=1)
    return str(path)


class OneOf(StudyDataModule):
    """A data module as one of several processes, without starting them."""

    place = (0, 1)

    @property
    def process(self) -> tuple[int, int]:
        return self.place


def module(folder: str, rank: int = 0, world: int = 1, **options: object) -> StudyDataModule:
    made = OneOf(folder, **{"image_size": 32, "batch_size": 4, "num_workers": 0, "seed": 5, **options})
    made.place = (rank, world)
    return made


def batches(loader) -> list[list[str]]:
    return [batch.study_ids for batch in loader]


def flat(*parts: list[list[str]]) -> list[str]:
    """The study ids in the batches of several processes."""
    return [name for part in parts for names in part for name in names]


def same(one: StudyBatch, other: StudyBatch) -> bool:
    plain = all(getattr(one, name) == getattr(other, name) for name in ("study_ids", "reports", "projections"))
    labels = torch.equal(one.labels.nan_to_num(9), other.labels.nan_to_num(9))
    return plain and labels and torch.equal(one.images, other.images)


def test_evaluation_streams_the_batches_of_the_map(folder):
    for split in ("train", "val", "test"):
        mapped = list(module(folder, predict_split=split, streamed=False).predict_dataloader())
        streamed = list(module(folder, predict_split=split, streamed=True).predict_dataloader())
        assert len(mapped) == len(streamed)
        assert all(map(same, mapped, streamed))


@pytest.mark.parametrize("streamed", [False, True])
def test_training_is_the_same_for_any_number_of_workers_and_new_each_epoch(folder, streamed):
    passes = {}
    for workers in (0, 1, 3):
        loader = module(folder, num_workers=workers, streamed=streamed).train_dataloader()
        passes[workers] = [list(loader) for _ in range(2)]
    for workers in (1, 3):
        for one, other in zip(passes[0], passes[workers], strict=True):
            assert all(map(same, one, other))
    assert batches(passes[0][0]) != batches(passes[0][1])
    assert Counter(flat(batches(passes[0][0]))) == Counter(f"train{i}" for i in range(SIZES["train"]))


def test_a_study_looks_the_same_mapped_and_streamed(folder):
    """The order differs, but the augmentation of a study in an epoch does not."""

    def films(streamed: bool) -> dict[str, torch.Tensor]:
        loader = module(folder, streamed=streamed).train_dataloader()
        loader.sampler.set_epoch(3)
        return {
            name: batch.images[batch.study_of_view == row]
            for batch in loader
            for row, name in enumerate(batch.study_ids)
        }

    mapped, streamed = films(False), films(True)
    assert mapped.keys() == streamed.keys()
    assert list(mapped) != list(streamed)
    assert all(torch.equal(mapped[name], streamed[name]) for name in mapped)


@pytest.mark.parametrize("streamed", [False, True])
def test_two_ranks_with_two_workers_lose_and_double_nothing(folder, streamed):
    loaders = [module(folder, rank, 2, num_workers=2, streamed=streamed) for rank in (0, 1)]
    for split, count in SIZES.items():
        for data in loaders:
            data.predict_split = split
        shown = [batches(data.predict_dataloader()) for data in loaders]
        assert len(shown[0]) == len(shown[1])
        assert Counter(flat(*shown)) == Counter(f"{split}{i}" for i in range(count))
    trains = [data.train_dataloader() for data in loaders]
    for _ in range(2):
        shown = [batches(loader) for loader in trains]
        assert len(shown[0]) == len(shown[1]) == len(trains[0])
        assert Counter(flat(*shown)) == Counter(f"train{i}" for i in range(SIZES["train"]))


@pytest.mark.parametrize("streamed", [False, True])
def test_two_ranks_resumed_at_a_random_step_go_on_as_if_never_stopped(folder, streamed):
    draw = random.Random(3)
    for rank in (0, 1):
        whole = module(folder, rank, 2, num_workers=2, streamed=streamed).train_dataloader()
        epochs = [list(whole) for _ in range(3)]
        epoch, step = draw.randrange(2), draw.randrange(1, len(whole))
        interrupted = module(folder, rank, 2, num_workers=2, streamed=streamed).train_dataloader()
        interrupted.sampler.set_epoch(epoch)
        stopped = iter(interrupted)
        for _ in range(step):  # workers have fetched more than this
            next(stopped)
        state = json.loads(json.dumps(interrupted.state_dict()))
        assert (state["epoch"], state["batches"]) == (epoch, step)
        resumed = module(folder, rank, 2, num_workers=2, streamed=streamed).train_dataloader()
        resumed.load_state_dict(state)
        assert resumed.state_dict() == state
        assert len(resumed) == len(whole)
        rest, following = list(resumed), list(resumed)
        assert all(map(same, rest, epochs[epoch][step:]))
        assert len(rest) == len(whole) - step
        assert all(map(same, following, epochs[epoch + 1]))


def test_a_state_taken_after_the_last_batch_goes_on_with_the_next_epoch(folder):
    whole = module(folder).train_dataloader()
    _, second = batches(whole), batches(whole)
    resumed = module(folder).train_dataloader()
    resumed.load_state_dict({**whole.state_dict(), "epoch": 0, "batches": len(whole)})
    assert batches(resumed) == second


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"batch_size": 8}, r"data\.batch_size: 4 \(checkpoint\) -> 8 \(now\)"),
        ({"seed": 6}, r"seed: 5 \(checkpoint\) -> 6"),
        ({"world": 2}, r"processes: 1 \(checkpoint\) -> 2"),
        ({"streamed": True}, r"data\.streamed: False"),
        ({"repeat_threshold": 0.5}, r"data\.repeat_threshold: 0\.0"),
    ],
)
def test_a_place_among_other_batches_is_refused_by_name(folder, options, named):
    loader = module(folder).train_dataloader()
    next(iter(loader))
    other = module(folder, **options).train_dataloader()
    with pytest.raises(CheckpointError, match=named):
        other.load_state_dict(loader.state_dict())


def test_a_place_that_is_none_is_refused(folder):
    loader = module(folder).train_dataloader()
    made_of = loader.state_dict()["made_of"]
    for broken in (
        {},
        {"epoch": 0, "batches": 999, "made_of": made_of},
        {"epoch": -1, "batches": 0, "made_of": made_of},
    ):
        with pytest.raises(CheckpointError):
            loader.load_state_dict(broken)


def test_shards_that_are_not_those_of_the_index_are_refused_when_mapped(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(".cache"))
    table = pq.read_table(copy / "index.parquet")
    pq.write_table(table.take(pa.array(range(table.num_rows))[::-1]), copy / "index.parquet")
    with pytest.raises(DataError, match="contain other studies than index"):
        list(module(str(copy), streamed=False).val_dataloader())
    (copy / "test-00000.parquet").write_bytes(b"PAR1 half a file")
    with pytest.raises(DataError, match=r"test-00000\.parquet: not a whole shard"):
        list(module(str(copy), streamed=False, predict_split="test").predict_dataloader())
    with pytest.raises(DataError, match="only a folder on this machine can be mapped"):
        list(module("memory://nowhere", streamed=False).val_dataloader())


def test_what_does_not_fit_beside_its_map_is_streamed(folder, monkeypatch):
    size = module(folder).card["bytes"]
    mapped = sum(path.stat().st_size for path in (Path(folder) / ".cache").rglob("*") if path.is_file())
    for free, streamed in ((2 * size - mapped, False), (2 * size - mapped - 2, True)):
        monkeypatch.setattr("shutil.disk_usage", lambda path, free=free: SimpleNamespace(free=free))
        assert module(folder).is_streamed is streamed


def test_rare_findings_come_more_often_where_asked(folder):
    rare = {f"train{i}" for i in range(0, SIZES["train"], 25)}
    for streamed in (False, True):
        loader = module(folder, repeat_threshold=0.36, streamed=streamed).train_dataloader()
        for _ in range(2):
            batch_list = list(loader)
            counts = Counter(flat(batches(batch_list)))
            assert set(counts) == {f"train{i}" for i in range(SIZES["train"])}
            assert {name for name, count in counts.items() if count > 1} == rare  # sqrt(.36 / .04) = 3 times
            assert {counts[name] for name in rare} == {3}
    films = [
        batch.images[batch.study_of_view == row]
        for batch in batch_list
        for row, name in enumerate(batch.study_ids)
        if name == "train25"
    ]
    assert not torch.equal(films[0], films[1])  # augmented differently each time


@pytest.fixture
def bucket(folder):
    """The prepared folder in an object store, simulated by fsspec's memory file system."""
    store = fsspec.filesystem("memory")
    for path in Path(folder).glob("*.*"):
        if path.is_file():
            store.pipe(f"/bucket/prepared/{path.name}", path.read_bytes())
    yield "memory://bucket/prepared"
    store.rm("/bucket", recursive=True)


def test_object_storage_is_streamed_without_being_asked(folder, bucket):
    data = module(bucket, num_workers=2)
    assert data.is_streamed
    assert not module(folder).is_streamed
    data.prepare_data()
    data.setup("fit")
    assert all(map(same, data.val_dataloader(), module(folder).val_dataloader()))
    assert data.ids("test") == module(folder).ids("test")
    assert Counter(flat(batches(data.train_dataloader()))) == Counter(f"train{i}" for i in range(SIZES["train"]))


def test_an_object_store_that_lacks_something_says_what(bucket):
    with pytest.raises(DataError, match=r"memory://bucket/none/card\.json: no such file"):
        module("memory://bucket/none").setup()
    with pytest.raises(DataError, match="pip install"):
        module("nosuchstore://bucket/prepared").setup()
    store = fsspec.filesystem("memory")
    store.rm("/bucket/prepared/val-00000.parquet")
    with pytest.raises(DataError, match=r"memory://bucket/prepared/val-00000\.parquet"):
        list(module(bucket).val_dataloader())
    store.pipe("/bucket/prepared/test-00000.parquet", store.cat("/bucket/prepared/train-00000.parquet"))
    with pytest.raises(DataError, match=r"test-00000\.parquet: looked for study test0 in row 0, found train"):
        list(module(bucket, predict_split="test").predict_dataloader())
    store.rm("/bucket/prepared/index.parquet")
    with pytest.raises(DataError, match=r"index\.parquet"):
        module(bucket).ids("val")


def test_a_film_damaged_after_preparation_names_its_study(folder, bucket):
    table = pq.read_table(f"{folder}/val-00000.parquet")
    films = [[film[: len(film) // 2] for film in row] for row in table["images"].to_pylist()]
    images = pa.array(films, table.schema.field("images").type)
    damaged = pa.BufferOutputStream()
    place = table.schema.get_field_index("images")
    pq.write_table(table.set_column(place, "images", images), damaged, row_group_size=ROWS_PER_GROUP)
    fsspec.filesystem("memory").pipe("/bucket/prepared/val-00000.parquet", damaged.getvalue().to_pybytes())
    with pytest.raises(DataError, match="film 1 of study val0 in the prepared data is damaged"):
        list(module(bucket).val_dataloader())


class Recorder(lightning.LightningModule):
    """Records the study ids of each step."""

    def __init__(self, stop_after: int | None = None) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.steps: list[tuple[int, list[str]]] = []
        self.stop_after = stop_after

    def training_step(self, batch: StudyBatch, index: int) -> torch.Tensor:
        if len(self.steps) == self.stop_after:
            raise KeyboardInterrupt
        self.steps.append((self.current_epoch, batch.study_ids))
        return self.weight * batch.images.float().mean()

    def validation_step(self, batch: StudyBatch, index: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(model: Recorder, data: str, folder: Path, every: int, workers: int, streamed: bool, **options: object) -> bool:
    """Train for three epochs of 38 steps with regular checkpoints; True if it was interrupted."""
    keeper = ModelCheckpoint(folder, filename="at", every_n_train_steps=every, enable_version_counter=False)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    trainer = lightning.Trainer(max_epochs=3, accelerator="cpu", callbacks=[keeper], **quiet)
    studies = StudyDataModule(data, image_size=32, batch_size=4, num_workers=workers, streamed=streamed)
    try:
        trainer.fit(model, datamodule=studies, **options)
    except SystemExit:
        return True
    return trainer.interrupted


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("every", "stop"), [(7, 47), (38, 40)])
def test_the_trainer_goes_on_in_the_middle_of_an_epoch(folder, tmp_path, workers, streamed, every, stop):
    """The checkpoint is saved at step 42, in the second epoch, or exactly at the end of the first."""
    whole, stopped, resumed = Recorder(), Recorder(stop), Recorder()
    assert not fit(whole, folder, tmp_path / "whole", every, workers, streamed)
    assert len(whole.steps) == 3 * 38
    assert fit(stopped, folder, tmp_path / "stopped", every, workers, streamed)
    kept = str(tmp_path / "stopped" / "at.ckpt")
    assert not fit(resumed, folder, tmp_path / "resumed", every, workers, streamed, ckpt_path=kept, weights_only=True)
    done = stop // every * every
    assert whole.steps[:done] == stopped.steps[:done]
    assert resumed.steps == whole.steps[done:]
    assert torch.equal(whole.weight, resumed.weight)


RANKS = """
import json, sys
sys.path[:0] = [{root!r}, {tests!r}]
import lightning, torch
from test_loading import Recorder
from datamodules.dataset import StudyDataset
from datamodules.studies import StudyDataModule

class Ranked(Recorder):
    def validation_step(self, batch, index):
        self.seen.append(batch.study_ids)
    def on_validation_start(self):
        self.seen = []
    def predict_step(self, batch, index):
        self.predicted.append(batch.study_ids)

if __name__ == "__main__":
    model = Ranked()
    model.predicted = []
    data = StudyDataModule({folder!r}, image_size=32, batch_size=4, num_workers=2, streamed={streamed})
    trainer = lightning.Trainer(max_epochs=2, accelerator="cpu", devices=2, strategy="ddp", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0)
    trainer.fit(model, datamodule=data)
    trainer.predict(model, datamodule=data, return_predictions=False)
    with open({out!r} + str(trainer.global_rank), "w") as file:
        json.dump([model.steps, model.seen, model.predicted], file)
"""


def test_two_real_processes_under_lightning_share_every_split(folder, tmp_path):
    script = tmp_path / "ranks.py"
    places = {"root": str(ROOT), "tests": str(Path(__file__).parent), "folder": folder, "out": f"{tmp_path}/ids"}
    script.write_text(RANKS.format(**places, streamed=True))
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    ranks = [json.loads((tmp_path / f"ids{rank}").read_text()) for rank in (0, 1)]
    for epoch in (0, 1):
        shown = [name for steps, _, _ in ranks for at, names in steps if at == epoch for name in names]
        assert Counter(shown) == Counter(f"train{i}" for i in range(SIZES["train"]))
    assert len(ranks[0][0]) == len(ranks[1][0])
    for place, split in ((1, "val"), (2, "test")):
        shown = [name for rank in ranks for names in rank[place] for name in names]
        assert Counter(shown) == Counter(f"{split}{i}" for i in range(SIZES[split]))


class Stuck(StudyDataset):
    """A disk stalls, or a worker is killed, at the third batch.

    The worker first waits until two batches are consumed: batches it only offers (file descriptors) die with it.
    """

    how = "stall"

    def __getitem__(self, keys):
        found = super().__getitem__(keys)
        if any(example.study_id == self.at for example in found):
            self.taken.wait()
            if self.how == "stall":
                time.sleep(30)
            os.kill(os.getpid(), signal.SIGKILL)
        return found


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("stall", r"no loader worker delivered batch 2 of epoch 0 within data.loader_timeout \(6 s\)"),
        ("kill", "a loader worker died before batch 2 of epoch 0"),
    ],
)
def test_a_loader_that_stalls_or_dies_is_named(folder, how, message):
    data = module(folder, num_workers=1, loader_timeout=6 if how == "stall" else 60)
    loader = data.train_dataloader()
    order = batches(module(folder).train_dataloader())
    dataset = loader.dataset
    dataset.__class__, dataset.at, dataset.how = Stuck, order[2][0], how
    dataset.taken = multiprocessing.Event()
    arriving = iter(loader)
    assert [next(arriving).study_ids for _ in range(2)] == order[:2]
    dataset.taken.set()
    with pytest.raises(DataError, match=message):
        next(arriving)


def test_a_step_is_shared_by_processes_and_gathered_where_memory_is_short(folder):
    shares = {
        (world, micro): module(folder, 0, world, batch_size=16, micro_batch_size=micro).training_shares
        for world in (1, 2, 4)
        for micro in (None, 2, 8)
    }
    assert shares == {
        (1, None): (16, 1),
        (1, 2): (2, 8),
        (1, 8): (8, 2),
        (2, None): (8, 1),
        (2, 2): (2, 4),
        (2, 8): (8, 1),
        (4, None): (4, 1),
        (4, 2): (2, 2),
        (4, 8): (4, 1),
    }
    with pytest.raises(SettingsError, match=r"data.batch_size \(16\) .* divisible by their number \(3\)"):
        module(folder, 0, 3, batch_size=16).train_dataloader()
    with pytest.raises(
        SettingsError, match=r"is 8 studies each, which must be divisible by data.micro_batch_size \(3\)"
    ):
        module(folder, 0, 2, batch_size=16, micro_batch_size=3).train_dataloader()


def test_an_optimizer_step_has_the_same_studies_on_any_number_of_processes(folder):
    def steps(world, micro):
        parts = [module(folder, rank, world, batch_size=8, micro_batch_size=micro) for rank in range(world)]
        shown = [batches(part.train_dataloader()) for part in parts]
        gathered = parts[0].training_shares[1]
        return [
            {name for each in shown for names in each[first : first + gathered] for name in names}
            for first in range(0, len(shown[0]), gathered)
        ]

    assert steps(1, None) == steps(2, None) == steps(2, 2) == steps(1, 4) == steps(4, None)
