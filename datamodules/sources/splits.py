"""Splits made here, where a data set has none: by a hash, so that one id's split depends on no other id."""

from __future__ import annotations

import hashlib


def hash_split(name: str, seed: int, val: float = 0.1, test: float = 0.2) -> str:
    """``train``, ``val`` or ``test`` of a patient (or study, where patients are not known).

    Args:
        name: the id.
        seed: another seed, another split.
        val, test: their shares of the ids, in [0, 1]; the rest is ``train``.
    """
    share = int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8]) / 2**64
    return "val" if share < val else "test" if share < val + test else "train"
