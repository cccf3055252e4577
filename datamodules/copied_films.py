"""Films that two patients share, found by their stored bytes: a copy under another name is noticed too."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

COLUMNS = ["study_id", "subject_id", "images"]


class Copy(NamedTuple):
    """A film of a patient that another patient has as well."""

    study: str
    split: str
    first_study: str
    """The study of the other patient, in which it was met first."""
    first_split: str

    def __str__(self) -> str:
        return f"study {self.study} ({self.split}) has a film of study {self.first_study} ({self.first_split})"


def copied_films(shards: Mapping[str, Sequence[Path]]) -> Iterator[Copy]:
    """Yield each film that equals one of another patient, byte for byte as stored.

    Equal films of one patient are none: a film may belong to two of their studies.

    Args:
        shards: split -> its shards, in order.
    """
    owners: dict[bytes, tuple[str, str, str]] = {}
    for split, paths in shards.items():
        for path in paths:
            for batch in pq.ParquetFile(path).iter_batches(batch_size=64, columns=COLUMNS):
                for study, patient, films in zip(*(batch[name].to_pylist() for name in COLUMNS), strict=True):
                    for film in films:
                        key = hashlib.sha256(film).digest()
                        other, first, first_split = owners.setdefault(key, (patient, study, split))
                        if other != patient:
                            yield Copy(study, split, first, first_split)
