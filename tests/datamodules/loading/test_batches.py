"""Loading gives the same studies in the same batches: streamed or mapped, with any number of processes and workers."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ammrg.errors import DataError, SettingsError
from datamodules.dataset import StudyDataset
from tests.datamodules.loading.small_folder import SIZES, batches, flat, module, same


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
