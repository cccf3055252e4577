"""Makes splits for data sets that have none, by a hash, so that the split of an id depends on no other id."""

from __future__ import annotations

import hashlib


def hash_split(name: str, seed: int, val: float = 0.1, test: float = 0.2) -> str:
    """The split of a patient, or of a study if patients are unknown: ``train``, ``val`` or ``test``.

    Args:
        name: the id.
        seed: seed of the hash; another seed gives another split.
        val: share of ids, in [0, 1], that become ``val``.
        test: share of ids, in [0, 1], that become ``test``; all others become ``train``.
    """
    share = int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8]) / 2**64
    return "val" if share < val else "test" if share < val + test else "train"
