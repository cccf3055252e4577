"""Folds of the training patients: a patient is in the same fold in every process and every run."""

from __future__ import annotations

import zlib


def fold_of(subject_id: str, folds: int) -> int:
    """Return a patient's fold, ``0 .. folds - 1``, from a checksum of the id: all films of a patient share one fold."""
    return zlib.crc32(subject_id.encode()) % folds
