"""Which studies an epoch shows, in which order, and which of them each process takes: pure functions of a seed.

Nothing here depends on a worker, and of the processes only :func:`shares` knows: so a run that is resumed, or read from
shards on another machine, meets the same studies in the same batches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

LANES = 32
"""Streams of row groups that an epoch is woven from. A process's worker reads its own lanes only, as long as processes
times workers divide this; beyond that a row group is fetched by several."""
GROUPS_IN_BUFFER = 8
"""Row groups of a lane that are shuffled together: the memory a lane needs, and the neighbours a study may get."""


BATCHES_IN_WINDOW = 16
"""Steps whose studies are sorted by the length of their reports together: long enough for little padding, short enough
that an epoch stays in random order."""


def repeat_factors(labels: NDArray[np.float32], threshold: float) -> NDArray[np.float64]:
    """How often each study should be shown in an epoch: ``max over its positive findings of sqrt(threshold / share)``,
    at least 1 (repeat-factor sampling: Gupta, Dollar and Girshick, LVIS, CVPR 2019).

    Args:
        labels: ``[n 14]``, 1 where positive.
        threshold: in [0, 1]; findings in a smaller share of the studies are shown more often. 0 repeats none.

    Returns:
        ``[n]``, each >= 1.
    """
    positive = labels == 1
    share = positive.mean(axis=0) if len(labels) else np.zeros(labels.shape[1])
    factor = np.sqrt(threshold / np.maximum(share, 1e-12))
    return np.maximum(1.0, np.where(positive, factor, 0.0).max(axis=1, initial=1.0))


def repeated(factors: NDArray[np.float64], seed: int, epoch: int) -> NDArray[np.int64]:
    """``[m 2]``: (study, copy) of an epoch, in order; each study once, and beyond that about ``factor - 1`` times, as
    systematic sampling rounds it: every epoch has the same length m, n + the rounded sum of ``factor - 1``."""
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
    """A permutation of ``count`` places, uniform over all: for studies that can be read in any order."""
    return np.random.default_rng((seed, epoch)).permutation(count)


def bucketed(lengths: NDArray[np.int64], batch_size: int, draw: np.random.Generator) -> NDArray[np.int64]:
    """An order in which batches hold like lengths: windows of :data:`BATCHES_IN_WINDOW` batches are sorted by length
    and their batches shuffled; a batch that is not full stays last.

    Args:
        lengths: ``[m]``, in the order that is to be changed.
        batch_size: places that are read together.
    """
    window = batch_size * BATCHES_IN_WINDOW
    parts: list[NDArray[np.int64]] = []
    for start in range(0, len(lengths), window):
        places = start + np.argsort(lengths[start : start + window], kind="stable")
        full, rest = divmod(len(places), batch_size)
        # The batch that is not full is cut out anywhere: it would always hold the longest, or the shortest.
        cut = int(draw.integers(full + 1)) * batch_size
        short, kept = places[cut : cut + rest], np.concatenate([places[:cut], places[cut + rest :]])
        parts += [*draw.permutation(kept.reshape(-1, batch_size)), short]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def woven(
    groups: NDArray[np.int64], batch_size: int, seed: int, epoch: int, lengths: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """A permutation for studies that are read a row group at a time.

    Row groups are shuffled and dealt to :data:`LANES`; a lane shuffles :data:`GROUPS_IN_BUFFER` of its groups at a time
    and is cut into batches; batches of the lanes alternate. What is left of each lane (less than a batch) is shuffled
    together and comes last.

    Args:
        groups: ``[n]``, the row group of each place; equal numbers lie together.
        batch_size: places that are read by one worker together.
        seed, epoch: decide the draws.
        lengths: ``[n]``, where a lane's batches shall hold like ones (:func:`bucketed`).
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
        factors: ``[n]``, how often each is shown (:func:`repeat_factors`).
        groups: the row group of every row of the split, where it is read a group at a time; None shuffles fully.
        batch_size: studies that are read together.
        seed, epoch: decide the draws.
        lengths: of the report of every row of the split, where studies of like length shall come together.

    Returns:
        ``[m 2]``: row of the split, and which repetition of it; m is the same for every epoch.
    """
    drawn = repeated(factors, seed, epoch)
    rows = kept[drawn[:, 0]]
    told = None if lengths is None else lengths[rows]
    if groups is not None:
        order = woven(groups[rows], batch_size, seed, epoch, told)
    else:
        order = shuffled(len(rows), seed, epoch)
        if told is not None:
            order = order[bucketed(told[order], batch_size, np.random.default_rng((seed, epoch, 2)))]
    return np.stack([rows, drawn[:, 1]], axis=1)[order]


def lanes_read(readers: int) -> int:
    """Lanes that each of so many readers (processes times their workers) meets, taking batches in turn."""
    return LANES // math.gcd(LANES, readers)


def shares(count: int, batch_size: int, rank: int, world: int, *, whole: bool) -> Iterator[tuple[int, int]]:
    """The slices of an order that one process takes, a batch each; all processes take equally many steps.

    A step is ``world`` batches side by side. The last step shares what is left evenly, its parts differing by at most
    one study. Where less than a study a process is left, training leaves it out of this epoch; an evaluation, which
    must be ``whole``, takes as many studies from the step before as are needed; where that cannot be (batches of one
    study) the last processes have a batch less. Of fewer studies than processes, those that would have none all take
    the last one, which counts once where they gather: a process without a batch would leave the others waiting.

    Args:
        count: studies of the epoch.
        batch_size: studies a process takes at a time.
        rank, world: the process, and how many there are.
        whole: no study may be left out.

    Yields:
        (start, stop) of each batch, none empty.
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
