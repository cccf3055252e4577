"""The few stored patterns worth comparing with: search in a memory of a million, exact or through faiss.

Scores are inner products with layer-normed patterns, which all have the same length: the largest score is the smallest
angle, what such indices are made for. The patterns are searched as they are stored, before any trained projection, so
an index stays true while a network trains.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ammrg.errors import SettingsError
from ammrg.fingerprints import json_fingerprint, tensors_fingerprint

ROWS_AT_ONCE = 2**16
"""Patterns normalised and added, or compared, at once."""
SMALL = 20_000
"""Memories up to this size are searched exactly: nothing is gained by an index of lists."""
SAMPLES_PER_LIST = 40
"""Patterns that the centres of the lists are learned from, for each list."""


class Search(Protocol):
    """Finds, for each probe, the stored patterns with the largest inner products."""

    def __call__(self, probes: Tensor, count: int) -> Tensor:
        """Probes float32 ``[m p]`` -> int64 ``[m count]`` rows, best first; -1 where fewer were found."""
        ...


class Candidates(NamedTuple):
    """How a retrieval in two steps finds what it compares with."""

    search: Search
    per_state: int
    """Candidates for each state and head, at least 1."""


class ExactSearch:
    """Every pattern is compared, a block at a time: the measure of any other search."""

    def __init__(self, patterns: Tensor) -> None:
        """
        Args:
            patterns: ``[n p]``, not normalised.
        """
        self.patterns = patterns

    def __call__(self, probes: Tensor, count: int) -> Tensor:
        """See :class:`Search`."""
        scores = probes.new_empty(len(probes), 0)
        rows = torch.empty(len(probes), 0, dtype=torch.int64, device=probes.device)
        for start in range(0, len(self.patterns), ROWS_AT_ONCE):
            block = _normalised(self.patterns[start : start + ROWS_AT_ONCE])
            found = (probes @ block.T).topk(min(count, len(block)), dim=1)
            scores, rows = torch.cat([scores, found.values], 1), torch.cat([rows, found.indices + start], 1)
            scores, kept = scores.topk(min(count, scores.shape[1]), dim=1)
            rows = rows.gather(1, kept)
        return F.pad(rows, (0, count - rows.shape[1]), value=-1)


class FaissSearch:
    """Approximate search through faiss: patterns in lists around learned centres, 8 bits a number.

    An index costs about p bytes a pattern in RAM. With a folder it is written there once, under a name that says which
    patterns and settings it is of, and read as a memory map ever after: on disk, paged in where it is visited.
    """

    def __init__(
        self,
        patterns: Tensor,
        *,
        visited: int = 32,
        lists: int | None = None,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        """
        Args:
            patterns: ``[n p]``, not normalised.
            visited: lists looked into for each probe; more find more and take longer.
            lists: how many there are; None takes 4 sqrt(n), and none at all for at most :data:`SMALL` patterns, which
                are compared one and all.
            folder: where the index is kept; None keeps it in RAM.

        Raises:
            SettingsError: faiss is not installed, or a setting is out of range.
        """
        try:
            import faiss
        except ImportError as error:
            raise SettingsError(
                "retrieval in two steps needs faiss, which is not installed: pip install 'am-mrg[scale]' (faiss-cpu)"
            ) from error
        if visited < 1 or (lists is not None and lists < 1):
            raise SettingsError(f"visited ({visited}) and lists ({lists}) must be at least 1")
        n, width = patterns.shape
        if lists is None:
            lists = 0 if n <= SMALL else int(4 * n**0.5)
        self._faiss: Any = faiss
        if folder is None:
            self.index: Any = self._build(patterns, width, lists)
        else:
            name = json_fingerprint([tensors_fingerprint({"patterns": patterns}), lists, faiss.__version__])
            path = Path(folder) / f"{name}.faiss"
            if not path.is_file():
                self._write(self._build(patterns, width, lists), path)
            self.index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
        if lists:
            self.index.nprobe = min(visited, lists)

    def __call__(self, probes: Tensor, count: int) -> Tensor:
        """See :class:`Search`."""
        _, rows = self.index.search(probes.detach().float().cpu().contiguous().numpy(), count)
        return torch.from_numpy(rows).to(probes.device)

    def _build(self, patterns: Tensor, width: int, lists: int) -> Any:
        faiss = self._faiss
        index = faiss.index_factory(width, f"IVF{lists},SQ8" if lists else "Flat", faiss.METRIC_INNER_PRODUCT)
        if lists:
            generator = torch.Generator().manual_seed(0)
            sample = torch.randperm(len(patterns), generator=generator)[: SAMPLES_PER_LIST * lists]
            index.train(_normalised(patterns[sample]).numpy())
        for start in range(0, len(patterns), ROWS_AT_ONCE):
            index.add(_normalised(patterns[start : start + ROWS_AT_ONCE]).numpy())
        return index

    def _write(self, index: Any, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            self._faiss.write_index(index, str(partial))
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def _normalised(patterns: Tensor) -> Tensor:
    return F.layer_norm(patterns.detach().float().cpu(), patterns.shape[1:])
