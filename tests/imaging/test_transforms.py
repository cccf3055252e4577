"""Evaluation only squashes; training varies without ever mirroring, and boxes stay on what they mark."""

from __future__ import annotations

import numpy as np
import pytest

from ammrg.imaging.transforms import eval_transform, train_transform
from ammrg.types import Box


def film_with_mark(height: int = 300, width: int = 200) -> tuple[np.ndarray, Box]:
    film = np.full((height, width), 60, np.uint8)
    film[90:150, 30:70] = 230  # upper left
    return film, Box(0, 3, 30 / width, 90 / height, 70 / width, 150 / height)


def test_evaluation_squashes_the_whole_film_and_nothing_else():
    film, box = film_with_mark()
    squashed, boxes = eval_transform(128).with_boxes(film, [box])
    assert squashed.shape == (128, 128)
    assert squashed.dtype == np.uint8
    assert boxes == (box,)
    bright = np.argwhere(squashed > 150)
    found = [*bright.min(0)[::-1] / 128, *(bright.max(0)[::-1] + 1) / 128]
    assert np.abs(np.array(found) - np.array(box[2:])).max() < 0.02


def test_one_seed_one_variation_another_seed_another():
    film, _ = film_with_mark()
    first, second = train_transform(96), train_transform(96)
    assert np.array_equal(first(film, (1, 2)), second(film, (1, 2)))
    distinct = {first(film, (1, i)).tobytes() for i in range(20)}
    assert len(distinct) >= 18


def test_seeds_from_numpy_where_none_is_given():
    film, _ = film_with_mark()
    transform = train_transform(96)
    np.random.seed(5)
    first = [transform(film) for _ in range(3)]
    np.random.seed(5)
    assert all(np.array_equal(a, transform(film)) for a in first)


def test_transforms_of_a_chain_draw_apart():
    """One seed for every transform would tie whether the film moves to whether its exposure changes."""
    dot = np.zeros((96, 96), np.uint8)
    dot[40:56, 40:56] = 100
    transform = train_transform(96)
    outcomes = set()
    for seed in range(150):
        varied = transform(dot, seed)
        moved = not np.array_equal(varied[40:56, 40:56] > 30, dot[40:56, 40:56] > 30) or (varied[:40] > 30).any()
        exposed = abs(int(np.median(varied[varied > 30])) - 100) > 2
        outcomes.add((bool(moved), exposed))
    assert len(outcomes) == 4


def test_the_mark_never_changes_side_and_its_box_follows_it():
    film, box = film_with_mark()
    transform = train_transform(128)
    for seed in range(60):
        varied, boxes = transform.with_boxes(film, [box], seed)
        assert len(boxes) == 1
        kept = boxes[0]
        assert kept[:2] == (0, 3)
        assert 0 <= kept.x0 < kept.x1 <= 1
        threshold = (float(varied.max()) + float(np.median(varied))) / 2
        rows, columns = np.nonzero(varied > threshold)
        assert columns.mean() / 128 < 0.5, seed
        assert rows.mean() / 128 < 0.5, seed
        assert abs(columns.mean() / 128 - (kept.x0 + kept.x1) / 2) < 0.03, seed
        assert abs(rows.mean() / 128 - (kept.y0 + kept.y1) / 2) < 0.03, seed


def test_a_box_is_the_same_with_or_without_others_asking():
    film, box = film_with_mark()
    transform = train_transform(64)
    assert np.array_equal(transform(film, 7), transform.with_boxes(film, [box], 7)[0])


def test_a_size_below_one_is_refused():
    with pytest.raises(ValueError, match="size"):
        eval_transform(0)
