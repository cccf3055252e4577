"""Partners: for each study, a study of another patient, with which it exchanges films, memories or reports.

Two studies of one patient show the same chest and say much the same, so exchanging them would prove nothing. The data
and a seed decide the partners, so they are the same for any batch size and any number of processes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ammrg.errors import DataError

SEED = 20_260
"""The same in every run, so that the runs' gaps can be compared."""


def partners(
    subject_ids: Sequence[str], *, groups: NDArray[np.int64] | None = None, seed: int = SEED, what: str = "the studies"
) -> NDArray[np.int64]:
    """Choose for each of n studies a study of another patient.

    The studies are put in a random order that keeps each patient's studies together. A study's partner is m places
    further in this order, where m is the largest number of studies that one patient has. So the partner always belongs
    to another patient, and each study is a partner once. Where one patient has more than half of the studies, the
    studies of the others are partners several times.

    Args:
        subject_ids: the patient of each study; an empty id is an unknown patient, different from all others.
        groups: int64 ``[n]``, ascending: the group of each study, where studies are read one group at a time. Partners
            are then in the same group; a group in which one patient has more than half is joined with the next ones.
            None: partners may be anywhere.
        seed: of the random order.
        what: what to call the studies in the message.

    Returns:
        int64 ``[n]``: the row of each study's partner; ``subject_ids[result[i]] != subject_ids[i]``.

    Raises:
        DataError: there are fewer than two patients.
    """
    known: dict[str, int] = {}
    patients = np.asarray(
        [known.setdefault(subject or f"\0{row}", len(known)) for row, subject in enumerate(subject_ids)], np.int64
    )
    if len(known) < 2:
        raise DataError(
            f"{what}: {len(patients)} of {len(known)} patient{'' if len(known) == 1 else 's'}, but exchanging films, "
            "memories or reports between patients takes at least 2 patients"
        )
    draw = np.random.default_rng(seed)
    found = np.empty(len(patients), np.int64)
    for rows in [np.arange(len(patients))] if groups is None else _blocks(patients, groups):
        found[rows] = rows[_within(patients[rows], draw)]
    return found


def _within(patients: NDArray[np.int64], draw: np.random.Generator) -> NDArray[np.int64]:
    """Choose partners among the rows of one block, which has at least 2 patients."""
    order = draw.permutation(len(patients))
    _, first, counts = np.unique(patients[order], return_index=True, return_counts=True)
    _, code = np.unique(patients[order], return_inverse=True)
    # Patients in the order of their first study, except that the one with the most studies comes first.
    first[counts.argmax()] = -1
    order = order[np.argsort(first[code], kind="stable")]
    most, rest = int(counts.max()), len(patients) - int(counts.max())
    place = np.arange(len(patients))
    shifted = (place + most) % len(place) if most <= rest else np.where(place < most, most + place % rest, place - most)
    found = np.empty_like(order)
    found[order] = order[shifted]
    return found


def _blocks(patients: NDArray[np.int64], groups: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Join whole groups until no patient has more than half of the rows; a remainder joins the last block."""
    blocks: list[NDArray[np.int64]] = []
    start = 0
    for stop in [*(np.flatnonzero(np.diff(groups)) + 1).tolist(), len(groups)]:
        if 2 * np.bincount(patients[start:stop]).max() <= stop - start:
            blocks.append(np.arange(start, stop))
            start = stop
    if start < len(groups):
        left = np.arange(start, len(groups))
        blocks = [*blocks[:-1], np.concatenate([*blocks[-1:], left])]
    return blocks
