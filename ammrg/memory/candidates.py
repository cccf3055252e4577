"""Search for candidates: the few stored patterns, of up to millions, that a probe is compared with; exact or by faiss.

Scores are inner products with layer-normed patterns. These all have the same length, so the largest score is the
smallest angle, which is what such indices search for. Patterns are searched as they are stored, before any trained
projection, so an index stays valid while a network trains.
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
"""Patterns that are normalised and added, or compared, at once."""
SMALL = 20_000
"""Memories with at most this many patterns are searched exactly: lists would gain nothing."""
SAMPLES_PER_LIST = 40
"""Patterns per list from which the centres of the lists are learned."""


class Search(Protocol):
    """Finds, for each probe, the stored patterns with the largest inner products."""

    def __call__(self, probes: Tensor, count: int) -> Tensor:
        """Search for probes: float32 ``[m p]`` -> rows int64 ``[m count]``, best first; -1 where fewer were found."""
        ...


class Candidates(NamedTuple):
    """The first step of a retrieval in two steps: the search, and how many candidates it gives."""

    search: Search
    per_state: int
    """Candidates for each state and head, at least 1."""


class ExactSearch:
    """Compares every pattern, one block at a time: the reference for any other search.

    Args:
        patterns: ``[n p]``, not normalised.
    """

    def __init__(self, patterns: Tensor) -> None:
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
    """Approximate search by faiss: patterns in lists around learned centres, stored with 8 bits per number.

    An index takes about p bytes of RAM per pattern. With a folder it is written there once, under a name made from the
    patterns and settings, and from then on read as a memory map: it stays on disk, and only the parts visited are
    loaded.

    Args:
        patterns: ``[n p]``, not normalised.
        visited: lists searched for each probe; more lists find more and take longer.
        lists: number of lists. None takes 4 sqrt(n), or no lists for at most :data:`SMALL` patterns, which are then
            all compared.
        folder: where the index is kept; None keeps it in RAM.

    Raises:
        SettingsError: faiss is not installed, or a setting is out of range.
    """

    def __init__(
        self,
        patterns: Tensor,
        *,
        visited: int = 32,
        lists: int | None = None,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        try:
            import faiss
        except ImportError as error:
            raise SettingsError(
                "retrieval in two steps needs faiss, which is not there; in a clone: pip install '.[scale]' (faiss-cpu)"
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
