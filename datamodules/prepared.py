"""Reads a prepared folder: its card, its index, and its studies, either memory-mapped or streamed by row groups.

The folder may be on this machine or anywhere that fsspec reaches (``s3://bucket/folder``, ``gs://...``,
``https://...``).
"""

from __future__ import annotations

import json
import os
import shutil
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ammrg.errors import DataError
from ammrg.findings import NUM_FINDINGS, check_labels
from ammrg.memory.held_out import HeldOut
from datamodules.format import CARD, INDEX, ROWS_PER_GROUP, VERSION, shard_name
from datamodules.sources.source_reading import SPLITS

if TYPE_CHECKING:
    import datasets


class Rows(Protocol):
    """The studies of a split by row number: a memory-mapped data set, or :class:`StreamedRows`."""

    def __len__(self) -> int: ...
    def __getitem__(self, row: int) -> Mapping[str, Any]: ...


class SplitIndex(NamedTuple):
    """Everything of a split but its films, for n studies in the order of its shards."""

    study_ids: Sequence[str]
    subject_ids: Sequence[str]
    reports: Sequence[str]
    """The target texts."""
    labels: NDArray[np.float32]
    """``[n 14]``: 1, 0, -1, NaN."""
    shards: NDArray[np.int64]
    """``[n]``: the number in the shard's name."""
    places: NDArray[np.int64]
    """``[n]``: the row within its shard."""

    @property
    def groups(self) -> NDArray[np.int64]:
        """``[n]``: the number of each study's row group, ascending; a row group is read in one piece."""
        return self.shards * (1 + int(self.places.max(initial=0)) // ROWS_PER_GROUP) + self.places // ROWS_PER_GROUP


class PreparedFolder:
    """A folder that :mod:`datamodules.shards` wrote, on this machine or elsewhere."""

    def __init__(self, location: str | Path) -> None:
        """Note the location; nothing is read yet.

        Args:
            location: a folder, or a URL that fsspec knows.

        Raises:
            DataError: ``location`` is empty.
        """
        self.location = os.path.expanduser(str(location)).rstrip("/")
        if not self.location:
            raise DataError("data.folder is empty; name the folder of the prepared data")
        self._indices: dict[str, SplitIndex] = {}

    @property
    def is_local(self) -> bool:
        """Whether the folder is on this machine."""
        return "://" not in self.location

    @cached_property
    def card(self) -> dict[str, Any]:
        """The folder's card.

        Raises:
            DataError: the card is missing, broken, or of another version.
        """
        name = f"{self.location}/{CARD}"
        how = "make data DATASET=<name> RAW=<folder>, or python -m experiments prepare (without own data: make quick)"
        try:
            card: dict[str, Any] = json.loads(self.read_bytes(CARD))
            version = card.get("version")
        except FileNotFoundError:
            raise DataError(
                f"{name}: no such file; {self.location} contains no prepared data. Prepare it first: {how}"
            ) from None
        except (ValueError, AttributeError) as error:
            raise DataError(f"{name}: is not a valid card: {error}; prepare the data again") from error
        if version != VERSION:
            raise DataError(
                f"{name} has version {version}, but this code reads version {VERSION}; prepare the data again, into "
                "another folder or after removing this one"
            )
        return card

    def read_bytes(self, name: str) -> bytes:
        """The content of a small file of the folder.

        Raises:
            FileNotFoundError: there is no such file.
            DataError: the file cannot be read.
        """
        try:
            files, root = open_filesystem(self.location)
            content: bytes = files.cat_file(f"{root}/{name}")
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(f"{self.location}/{name}") from None
        except OSError as error:
            raise DataError(f"{self.location}/{name}: cannot be read: {error}") from error
        return content

    def split_size(self, split: str) -> int:
        """Number of studies of a split, from the card.

        Raises:
            DataError: there is no such split.
        """
        counts = self.card["counts"]
        if split not in counts:
            advice = f". {to_fill([split])}" if split in SPLITS else ""
            raise DataError(f"{self.location} has no split '{split}'; it has {', '.join(counts)}{advice}")
        return int(counts[split]["studies"])

    def index(self, split: str) -> SplitIndex:
        """Ids, texts and labels of a whole split, from one small file that is read once.

        Raises:
            DataError: there is no such split, a label is invalid, or the index is missing, broken or does not match
                the card.
        """
        expected = self.split_size(split)
        if split not in self._indices:
            try:
                table = pq.read_table(pa.BufferReader(self.read_bytes(INDEX)), filters=[("split", "=", split)])
            except (FileNotFoundError, pa.ArrowInvalid) as error:
                raise DataError(f"{self.location}/{INDEX}: cannot be read: {error}; prepare the data again") from error
            if table.num_rows != expected:
                raise DataError(
                    f"{self.location}/{INDEX}: lists {table.num_rows} studies of {split}, but the card says "
                    f"{expected}; prepare the data again"
                )
            columns = {name: table[name].to_pylist() for name in ("study_id", "subject_id", "report", "labels")}
            shards = np.asarray(table["shard"], np.int64)
            labels = np.asarray(columns["labels"], np.float32).reshape(-1, NUM_FINDINGS)
            import torch  # imported here, so that reading cards and films needs no torch

            check_labels(torch.from_numpy(labels), columns["study_id"])
            starts = np.flatnonzero(np.diff(shards, prepend=-1))
            self._indices[split] = SplitIndex(
                columns["study_id"],
                columns["subject_id"],
                columns["report"],
                labels,
                shards,
                np.arange(len(shards)) - np.repeat(starts, np.diff(starts, append=len(shards))),
            )
        return self._indices[split]

    def held_out(self) -> HeldOut:
        """The studies and patients of every split but ``train``, which no memory may contain.

        Raises:
            DataError: the card or the index is missing or broken, or they do not match.
        """
        indices = [self.index(split) for split in self.card["counts"] if split != "train"]
        return HeldOut(
            frozenset(study for index in indices for study in index.study_ids),
            frozenset(subject for index in indices for subject in index.subject_ids) - {""},
        )

    def fits(self) -> bool:
        """Whether a memory map of all films, which is as large as the shards, may be made beside them.

        The folder must be on this machine, and the map may take at most half of the free space, counting an existing
        map as free.
        """
        if not self.is_local:
            return False
        mapped = sum(path.stat().st_size for path in (Path(self.location) / ".cache").rglob("*") if path.is_file())
        return int(self.card["bytes"]) <= (shutil.disk_usage(self.location).free + mapped) // 2

    def mapped(self, split: str) -> datasets.Dataset:
        """All rows of one split, memory-mapped, without contacting a hub.

        The map is made once, in the folder's ``.cache``, or in the user's own cache if the folder is read-only.

        Raises:
            DataError: there is no card or no such split, the folder is not on this machine, or shards are missing,
                broken or do not match the index.
        """
        if not self.is_local:
            raise DataError(f"{self.location}: only a folder on this machine can be mapped; leave data.streamed unset")
        expected = self.split_size(split)
        files = sorted(str(path) for path in Path(self.location).glob(f"{split}-*.parquet"))
        found = sum(rows_of(path) for path in files)
        if found != expected:
            raise DataError(
                f"{self.location}: the {split} shards contain {found} studies, but the card says {expected}; prepare "
                "the data again"
            )

        import datasets

        shown = not datasets.are_progress_bars_disabled()
        datasets.disable_progress_bars()
        try:
            writable = os.access(self.location, os.W_OK)
            cache = str(Path(self.location).resolve() / ".cache") if writable else None
            rows = datasets.Dataset.from_parquet(files, cache_dir=cache)
        finally:
            if shown:
                datasets.enable_progress_bars()
        if list(rows["study_id"]) != list(self.index(split).study_ids):
            raise DataError(
                f"{self.location}: the {split} shards contain other studies than {INDEX} lists; prepare the data again"
            )
        return rows

    def streamed(self, split: str, cached_groups: int) -> StreamedRows:
        """The rows of one split, fetched as they are needed; see :class:`StreamedRows`."""
        return StreamedRows(self.location, split, self.index(split), cached_groups)


class StreamedRows:
    """The rows of a split, fetched from their shards one row group at a time; the last few groups are cached.

    A row group is one request of about a megabyte. Each process opens its own connections, since none survives a fork.
    """

    def __init__(self, location: str, split: str, index: SplitIndex, cached_groups: int) -> None:
        """Note the location; nothing is fetched yet.

        Args:
            location: the prepared folder.
            split: ``train``, ``val`` or ``test``.
            index: index of the split.
            cached_groups: number of row groups in the cache, at least 1.
        """
        self.location, self.split, self.index, self.cached_groups = location, split, index, cached_groups
        self.fetched = 0
        """Number of row groups read so far in this process."""
        self._groups: OrderedDict[tuple[int, int], pa.Table] = OrderedDict()
        self._metadata: dict[int, pq.FileMetaData] = {}
        self._files: tuple[int, Any, str] | None = None

    def __len__(self) -> int:
        return len(self.index.study_ids)

    def __getitem__(self, row: int) -> dict[str, Any]:
        """The study in a row of the split.

        Raises:
            DataError: the shard cannot be read, or has another study in that row.
        """
        group, place = divmod(int(self.index.places[row]), ROWS_PER_GROUP)
        table = self.group(int(self.index.shards[row]), group)
        found: dict[str, Any] = table.slice(place, 1).to_pylist()[0] if place < table.num_rows else {}
        if found.get("study_id") != self.index.study_ids[row]:
            raise DataError(
                f"{self.location}/{shard_name(self.split, int(self.index.shards[row]))}: looked for study "
                f"{self.index.study_ids[row]} in row {self.index.places[row]}, found "
                f"{found.get('study_id', 'no such row')}; the shards do not match the index, prepare the data again"
            )
        return found

    def group(self, shard: int, group: int) -> pa.Table:
        """One row group, from the cache or from its shard."""
        key = (shard, group)
        if key in self._groups:
            self._groups.move_to_end(key)
            return self._groups[key]
        path = shard_name(self.split, shard)
        if self._files is None or self._files[0] != os.getpid():
            self._files = (os.getpid(), *open_filesystem(self.location))
        _, files, root = self._files
        try:
            with files.open(f"{root}/{path}", "rb") as file:
                parquet = pq.ParquetFile(file, metadata=self._metadata.get(shard), pre_buffer=True)
                self._metadata[shard] = parquet.metadata
                table = parquet.read_row_group(group, use_threads=False)
        except (OSError, pa.ArrowException, IndexError) as error:
            raise DataError(f"{self.location}/{path}: row group {group} cannot be read: {error}") from error
        self.fetched += 1
        self._groups[key] = table
        while len(self._groups) > self.cached_groups:
            self._groups.popitem(last=False)
        return table


def to_fill(splits: Sequence[str]) -> str:
    """What to do about splits without studies."""
    return (
        f"Give some patients the split {', others '.join(splits)} in the raw data (in a table of your own: in the "
        "column split; without this column patients are divided 70/10/20), then prepare them into another folder"
    )


def rows_of(path: str) -> int:
    """Number of studies of a shard, from its footer.

    Raises:
        DataError: the file is not a whole shard.
    """
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: not a whole shard: {error}; copy or prepare the data again") from error


def open_filesystem(location: str) -> tuple[Any, str]:
    """The fsspec file system of a folder or URL, and the folder's path in it.

    Raises:
        DataError: the protocol is unknown, or its package is not installed.
    """
    try:
        files, root = fsspec.core.url_to_fs(location)
    except (ImportError, ValueError) as error:
        raise DataError(
            f"{location}: cannot be opened: {error}. Object storage needs its fsspec package (s3:// s3fs, gs:// gcsfs, "
            "az:// adlfs); pip install it into the environment"
        ) from error
    return files, root.rstrip("/")


def read_card(folder: Path | str) -> dict[str, Any]:
    """The card of a prepared folder; see :attr:`PreparedFolder.card`."""
    return PreparedFolder(folder).card


def load_split(folder: Path | str, split: str) -> datasets.Dataset:
    """All rows of one split, memory-mapped; see :meth:`PreparedFolder.mapped`."""
    return PreparedFolder(folder).mapped(split)
