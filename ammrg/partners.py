"""What "another study" means wherever films, memories or reports are exchanged: a study of another patient.

Two studies of one patient show one chest and say much the same, so that exchanging them proves nothing. Who is whose
partner is fixed by the data and a seed, and so the same for any batch size and any number of processes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ammrg.errors import DataError

SEED = 20_260
"""The same in every run, so that gaps compare."""


def partners(
    subject_ids: Sequence[str], *, groups: NDArray[np.int64] | None = None, seed: int = SEED, what: str = "the studies"
) -> NDArray[np.int64]:
    """For each of n studies, another patient's.

    In a random order in which each patient's studies stand together, everyone's partner stands as many places further
    as the patient with the most studies has: beyond one's own patient, and each study is partner once. Where one
    patient has more than half of the studies, those of the others are partners several times.

    Args:
        subject_ids: the patient of each study; an empty id is an unknown patient, nobody else's.
        groups: ``[n]``, ascending; partners then lie in the same group, or in the groups next to it where a patient
            fills more than half of that: for studies that are read a group at a time. None: anywhere.
        seed: of the order.
        what: what to call the studies in the message.

    Returns:
        int64 ``[n]``: rows, ``subject_ids[result[i]] != subject_ids[i]``.

    Raises:
        DataError: there is one patient only, or none.
    """
    known: dict[str, int] = {}
    patients = np.asarray(
        [known.setdefault(subject or f"\0{row}", len(known)) for row, subject in enumerate(subject_ids)], np.int64
    )
    if len(known) < 2:
        raise DataError(
            f"{what} are {len(patients)} of {len(known)} patient{'' if len(known) == 1 else 's'}: exchanging films, "
            "memories or reports with another patient's takes at least 2"
        )
    draw = np.random.default_rng(seed)
    found = np.empty(len(patients), np.int64)
    for rows in [np.arange(len(patients))] if groups is None else _blocks(patients, groups):
        found[rows] = rows[_within(patients[rows], draw)]
    return found


def _within(patients: NDArray[np.int64], draw: np.random.Generator) -> NDArray[np.int64]:
    """Partners among the rows of one block, which has at least 2 patients."""
    order = draw.permutation(len(patients))
    _, first, counts = np.unique(patients[order], return_index=True, return_counts=True)
    _, code = np.unique(patients[order], return_inverse=True)
    # Patients in the order of their first study, but the one with the most studies before all.
    first[counts.argmax()] = -1
    order = order[np.argsort(first[code], kind="stable")]
    most, rest = int(counts.max()), len(patients) - int(counts.max())
    place = np.arange(len(patients))
    shifted = (place + most) % len(place) if most <= rest else np.where(place < most, most + place % rest, place - most)
    found = np.empty_like(order)
    found[order] = order[shifted]
    return found


def _blocks(patients: NDArray[np.int64], groups: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows of whole groups, joined until no patient has more than half; what is left at the end joins the last."""
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
