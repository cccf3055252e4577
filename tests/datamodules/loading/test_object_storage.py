"""Prepared data in object storage."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ammrg.errors import DataError
from datamodules.format import ROWS_PER_GROUP
from tests.datamodules.loading.small_folder import SIZES, batches, flat, module, same


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
