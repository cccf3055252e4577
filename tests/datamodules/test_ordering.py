"""Orders of an epoch: they contain every study, depend on the seed, and share row groups among few readers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.ordering import (
    GROUPS_IN_BUFFER,
    LANES,
    bucketed,
    epoch_keys,
    lanes_read,
    repeat_factors,
    repeated,
    shares,
    shuffled,
    woven,
)


@given(count=st.integers(0, 200), batch=st.integers(1, 9), world=st.integers(1, 5), whole=st.booleans())
def test_processes_share_an_order_without_overlap_and_in_equal_steps(count, batch, world, whole):
    parts = [list(shares(count, batch, rank, world, whole=whole)) for rank in range(world)]
    taken = [place for part in parts for first, stop in part for place in range(first, stop)]
    if whole and count:
        assert all(parts)  # with fewer studies than processes, several processes take the last study
        assert len(taken) == max(count, world)
    assert len(taken) == len(set(taken)) or (whole and count < world)
    assert all(0 < stop - first <= batch for part in parts for first, stop in part)
    if whole:
        assert sorted(set(taken)) == list(range(count))
    else:
        assert count - len(taken) < world
    if count >= world and (batch > 1 or not whole):
        assert len({len(part) for part in parts}) == 1
    for step in zip(*parts, strict=False):
        sizes = [stop - first for first, stop in step]
        assert max(sizes) - min(sizes) <= 1


def test_full_steps_come_first_and_the_rest_is_shared():
    assert list(shares(11, 4, 0, 1, whole=True)) == [(0, 4), (4, 8), (8, 11)]
    assert list(shares(11, 4, 0, 2, whole=False)) == [(0, 4), (8, 10)]
    assert list(shares(11, 4, 1, 2, whole=False)) == [(4, 8), (10, 11)]
    # One study is left for two processes: training drops it, an evaluation moves one more from the step before.
    assert [list(shares(9, 4, rank, 2, whole=False)) for rank in (0, 1)] == [[(0, 4)], [(4, 8)]]
    assert [list(shares(9, 4, rank, 2, whole=True)) for rank in (0, 1)] == [[(0, 4), (7, 8)], [(4, 7), (8, 9)]]


@given(sizes=st.lists(st.integers(1, 20), max_size=120), batch=st.integers(1, 17), seed=st.integers(0, 3))
def test_weaving_is_a_permutation_that_seed_and_epoch_decide(sizes, batch, seed):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    order = woven(groups, batch, seed, 0)
    assert sorted(order) == list(range(len(groups)))
    assert np.array_equal(order, woven(groups, batch, seed, 0))
    if len(groups) > 30:
        assert not np.array_equal(order, woven(groups, batch, seed, 1))
        assert not np.array_equal(order, woven(groups, batch, seed + 1, 0))


@pytest.mark.parametrize(("world", "workers"), [(1, 1), (1, 2), (2, 2), (4, 8), (2, 3)])
def test_a_reader_keeps_few_row_groups_and_reads_each_once(world, workers):
    """Simulate the workers' caches: batches go to the processes in turn, and in each process to its workers in turn."""
    rows, batch, readers = 32_000, 16, world * workers
    groups = np.arange(rows) // 16
    order = woven(groups, batch, 0, 0)
    fetched = 0
    for reader in range(readers):
        kept: dict[int, None] = {}
        room = lanes_read(readers) * GROUPS_IN_BUFFER
        for number in range(reader, rows // batch, readers):
            for place in order[number * batch : (number + 1) * batch]:
                group = groups[place]
                fetched += group not in kept
                kept.pop(group, None)
                kept[group] = None
                if len(kept) > room:
                    kept.pop(next(iter(kept)))
    once = len(set(groups))
    # Readers share lanes if their number does not divide the lanes; the last batches come from all lanes.
    assert fetched <= once * (1.15 if LANES % readers == 0 else readers)


def test_neighbours_change_and_come_from_all_over():
    groups = np.arange(16_000) // 16
    batches = woven(groups, 16, 0, 0).reshape(-1, 16)
    distinct = [len(set(groups[batch])) for batch in batches]
    assert 6 <= np.mean(distinct) <= 8  # of a buffer of 8 groups
    spread = [np.ptp(groups[batch]) for batch in batches]
    assert np.median(spread) > 500


def test_rarer_findings_are_repeated_by_the_square_root_rule():
    labels = np.zeros((100, 14), np.float32)
    labels[:50, 0] = 1  # a share of 1/2
    labels[:4, 1] = 1  # a share of 1/25
    labels[90:, 2] = -1  # uncertain is not positive
    factors = repeat_factors(labels, 0.16)
    assert factors[0] == pytest.approx(2.0)
    assert set(factors[4:]) == {1.0}
    assert set(repeat_factors(labels, 0.0)) == {1.0}
    assert repeat_factors(np.full((3, 14), np.nan, np.float32), 1.0).tolist() == [1.0] * 3


@given(factors=st.lists(st.floats(1, 6), max_size=60), epoch=st.integers(0, 5))
def test_repeats_are_close_to_the_factor_and_as_many_every_epoch(factors, epoch):
    wanted = np.asarray(factors)
    drawn = repeated(wanted, 0, epoch)
    counts = np.bincount(drawn[:, 0], minlength=len(wanted))
    assert len(drawn) == len(wanted) + round(float((wanted - 1).sum()))
    assert (counts >= 1).all()
    assert (np.abs(counts - wanted) < 1.51).all()  # the fractions are scaled to sum to a whole number
    for study, count in enumerate(counts):
        assert drawn[drawn[:, 0] == study, 1].tolist() == list(range(count))


def test_over_many_epochs_repeats_average_to_the_factor():
    factors = np.asarray([1.0, 1.3, 2.6, 1.1])
    counts = sum(np.bincount(repeated(factors, 7, epoch)[:, 0], minlength=4) for epoch in range(500)) / 500
    assert np.abs(counts - factors).max() < 0.06


@pytest.mark.parametrize("read_by_group", [False, True])
def test_an_epoch_shows_what_is_kept_as_often_as_asked(read_by_group):
    kept = np.asarray([0, 2, 3, 5, 8, 13])
    groups = np.arange(20) // 4 if read_by_group else None
    keys = epoch_keys(kept, np.asarray([1.0, 1, 1, 1, 1, 3]), groups, 2, 0, 4)
    assert sorted(map(tuple, keys.tolist())) == [(0, 0), (2, 0), (3, 0), (5, 0), (8, 0), (13, 0), (13, 1), (13, 2)]
    assert np.array_equal(np.sort(shuffled(9, 0, 1)), np.arange(9))


@given(lengths=st.lists(st.integers(0, 500), max_size=300), batch=st.integers(1, 9), seed=st.integers(0, 3))
def test_batches_of_like_lengths_are_a_permutation(lengths, batch, seed):
    order = bucketed(np.asarray(lengths, np.int64), batch, np.random.default_rng(seed))
    assert sorted(order) == list(range(len(lengths)))


@pytest.mark.parametrize("groups", [None, np.repeat(np.arange(40), 50)])
def test_bucketed_epochs_pad_little_and_show_every_study(groups):
    lengths = np.random.default_rng(0).integers(20, 400, 2000)
    kept, factors = np.arange(2000), np.ones(2000)
    plain, sorted_ = (epoch_keys(kept, factors, groups, 8, 0, 1, given)[:, 0] for given in (None, lengths))
    padded = [sum(int(lengths[batch].max()) * len(batch) for batch in np.split(rows, 250)) for rows in (plain, sorted_)]
    assert padded[1] < 1.15 * lengths.sum() < 0.8 * padded[0]
    assert sorted(sorted_) == list(range(2000))
    assert not np.array_equal(sorted_, epoch_keys(kept, factors, groups, 8, 0, 2, lengths)[:, 0])
    means = np.asarray([lengths[batch].mean() for batch in np.split(sorted_, 250)])
    assert abs(np.corrcoef(means, np.arange(250))[0, 1]) < 0.2  # long and short batches alternate over the epoch
