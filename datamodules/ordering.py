"""The studies of an epoch, their order, and each process's share of them: pure functions of a seed.

Nothing here depends on loader workers, and only :func:`shares` depends on the processes. So a run that is resumed, or
that reads its shards on another machine, gets the same studies in the same batches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

LANES = 32
"""Number of streams of row groups from which an epoch is woven.

Each worker reads its own lanes only, if processes times workers divides this number; otherwise several workers fetch
the same row group.
"""
GROUPS_IN_BUFFER = 8
"""Row groups of a lane that are shuffled together; more need more memory and mix studies better."""


BATCHES_IN_WINDOW = 16
"""Batches whose studies are sorted by report length together.

More batches mean less padding; fewer keep the order of an epoch more random.
"""


def repeat_factors(labels: NDArray[np.float32], threshold: float) -> NDArray[np.float64]:
    """How often each study is shown in an epoch: ``max over its positive findings of sqrt(threshold / share)``.

    The factor is at least 1 (repeat-factor sampling: Gupta, Dollar and Girshick, LVIS, CVPR 2019).

    Args:
        labels: ``[n 14]``, 1 where positive.
        threshold: in [0, 1]; findings that a smaller share of studies has are shown more often. 0 repeats none.

    Returns:
        ``[n]``, each >= 1.
    """
    positive = labels == 1
    share = positive.mean(axis=0) if len(labels) else np.zeros(labels.shape[1])
    factor = np.sqrt(threshold / np.maximum(share, 1e-12))
    return np.maximum(1.0, np.where(positive, factor, 0.0).max(axis=1, initial=1.0))


def repeated(factors: NDArray[np.float64], seed: int, epoch: int) -> NDArray[np.int64]:
    """The studies of an epoch with their repetitions, in order: ``[m 2]`` (study, copy).

    Each study occurs once and about ``factor - 1`` times more, rounded by systematic sampling. So every epoch has the
    same length m: n plus the rounded sum of ``factor - 1``.
    """
    extra = np.cumsum(factors - 1.0)
    total = round(float(extra[-1])) if len(extra) else 0
    counts = np.ones(len(factors), np.int64)
    if total:
        offset = np.random.default_rng((seed, epoch, 1)).random()
        drawn = np.searchsorted(extra * (total / extra[-1]), np.arange(total) + offset, side="right")
        counts += np.bincount(np.minimum(drawn, len(counts) - 1), minlength=len(counts))
    studies = np.repeat(np.arange(len(counts)), counts)
    copies = np.arange(len(studies)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.stack([studies, copies], axis=1)


def shuffled(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """A uniform random permutation of ``count`` places, for studies that can be read in any order."""
    return np.random.default_rng((seed, epoch)).permutation(count)


def bucketed(lengths: NDArray[np.int64], batch_size: int, draw: np.random.Generator) -> NDArray[np.int64]:
    """An order in which the studies of a batch have similar lengths.

    Windows of :data:`BATCHES_IN_WINDOW` batches are sorted by length and cut into batches, which are shuffled. A batch
    that is not full comes last.

    Args:
        lengths: ``[m]``, in the order that is to be changed.
        batch_size: number of places of a batch.
        draw: random generator of the shuffling.
    """
    window = batch_size * BATCHES_IN_WINDOW
    parts: list[NDArray[np.int64]] = []
    for start in range(0, len(lengths), window):
        places = start + np.argsort(lengths[start : start + window], kind="stable")
        full, rest = divmod(len(places), batch_size)
        # The batch that is not full is cut out at a random place, so that it is not always the longest or shortest.
        cut = int(draw.integers(full + 1)) * batch_size
        short, kept = places[cut : cut + rest], np.concatenate([places[:cut], places[cut + rest :]])
        parts += [*draw.permutation(kept.reshape(-1, batch_size)), short]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def woven(
    groups: NDArray[np.int64], batch_size: int, seed: int, epoch: int, lengths: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """A random order for studies that are read one row group at a time.

    Row groups are shuffled and dealt to :data:`LANES` lanes. A lane shuffles :data:`GROUPS_IN_BUFFER` of its groups at
    a time and is cut into batches. Batches of the lanes alternate. The remainders of all lanes, each less than a batch,
    are shuffled together and come last.

    Args:
        groups: ``[n]``, the row group of each place; places of a group are adjacent.
        batch_size: number of places that one worker reads together.
        seed: seed of the draws.
        epoch: number of the epoch; each epoch is drawn differently.
        lengths: ``[n]``, to batch studies of similar lengths (:func:`bucketed`); None = do not.
    """
    draw = np.random.default_rng((seed, epoch))
    if not len(groups):
        return np.zeros(0, np.int64)
    starts = np.flatnonzero(np.diff(groups, prepend=groups[0] - 1))
    units = np.split(np.arange(len(groups)), starts[1:])
    order = draw.permutation(len(units))
    full: list[list[NDArray[np.int64]]] = []
    left: list[NDArray[np.int64]] = []
    for lane in range(min(LANES, len(units))):
        mine = order[lane::LANES]
        buffers = [
            draw.permutation(np.concatenate([units[unit] for unit in mine[start : start + GROUPS_IN_BUFFER]]))
            for start in range(0, len(mine), GROUPS_IN_BUFFER)
        ]
        places = np.concatenate(buffers)
        if lengths is not None:
            places = places[bucketed(lengths[places], batch_size, draw)]
        cut = len(places) // batch_size * batch_size
        full.append(list(places[:cut].reshape(-1, batch_size)))
        left.append(places[cut:])
    longest = max(map(len, full))
    batches = [lane[turn] for turn in range(longest) for lane in full if turn < len(lane)]
    return np.concatenate([*batches, draw.permutation(np.concatenate(left))])


def epoch_keys(
    kept: NDArray[np.int64],
    factors: NDArray[np.float64],
    groups: NDArray[np.int64] | None,
    batch_size: int,
    seed: int,
    epoch: int,
    lengths: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """The studies of a training epoch, in order.

    Args:
        kept: ``[n]``, rows of the split that are trained on, ascending.
        factors: ``[n]``, how often each of them is shown (:func:`repeat_factors`).
        groups: the row group of every row of the split, if it is read one group at a time; None = shuffle fully.
        batch_size: number of studies that are read together.
        seed: seed of the draws.
        epoch: number of the epoch; each epoch is drawn differently.
        lengths: the report length of every row of the split, to batch studies of similar lengths; None = do not.

    Returns:
        ``[m 2]``: row of the split, and number of its repetition; m is the same for every epoch.
    """
    drawn = repeated(factors, seed, epoch)
    rows = kept[drawn[:, 0]]
    drawn_lengths = None if lengths is None else lengths[rows]
    if groups is not None:
        order = woven(groups[rows], batch_size, seed, epoch, drawn_lengths)
    else:
        order = shuffled(len(rows), seed, epoch)
        if drawn_lengths is not None:
            order = order[bucketed(drawn_lengths[order], batch_size, np.random.default_rng((seed, epoch, 2)))]
    return np.stack([rows, drawn[:, 1]], axis=1)[order]


def lanes_read(readers: int) -> int:
    """Number of lanes that each reader takes batches from, with ``readers`` = processes times workers of each."""
    return LANES // math.gcd(LANES, readers)


def shares(count: int, batch_size: int, rank: int, world: int, *, whole: bool) -> Iterator[tuple[int, int]]:
    """The batches of one process, as slices of an order; all processes take the same number of steps.

    A step consists of ``world`` batches, one for each process. The last step shares the remaining studies evenly, so
    that batches differ by at most one study. If fewer studies remain than processes, training drops them in this epoch.
    An evaluation, which must be ``whole``, moves studies from the step before to the last one. If this is impossible
    (batches of one study), the last processes have one batch less. If the epoch has fewer studies than processes, the
    processes without a study all take the last one, which counts once after gathering: a process without any batch
    would make the others wait forever.

    Args:
        count: number of studies of the epoch.
        batch_size: number of studies that a process takes at a time.
        rank: number of this process, from 0.
        world: number of processes.
        whole: whether every study must be used.

    Yields:
        (start, stop) of each batch; no batch is empty.
    """
    step = batch_size * world
    steps = [step] * (count // step)
    rest = count % step
    if rest >= world or (rest and not steps):
        steps.append(rest)
    elif rest and whole and batch_size > 1:
        steps[-1] -= world - rest
        steps.append(world)
    elif rest and whole:
        steps.append(rest)
    start = 0
    for size in steps:
        part, larger = divmod(size, world)
        first = start + rank * part + min(rank, larger)
        if stop := part + (rank < larger):
            yield first, first + stop
        start += size
    if whole and 0 < count <= rank:
        yield count - 1, count
