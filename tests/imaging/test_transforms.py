"""Evaluation only squashes; training varies without ever mirroring, and boxes stay on what they mark."""

from __future__ import annotations

import numpy as np
import pytest

from ammrg.imaging import transforms
from ammrg.imaging.transforms import drop_patches, eval_transform, train_transform
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


def lopsided_film() -> np.ndarray:
    """Bright on the left and above."""
    rows, columns = np.mgrid[:256, :256] / 255
    return (240 - 110 * columns - 110 * rows).astype(np.uint8)


def test_no_film_is_ever_mirrored_or_turned():
    film = lopsided_film()
    transform = train_transform(96)
    for seed in range(400):
        varied = transform(film, seed).astype(float)
        assert varied[:, :48].mean() > varied[:, 48:].mean(), seed
        assert varied[:48].mean() > varied[48:].mean(), seed


def hidden_by(film: np.ndarray, seed: int) -> np.ndarray:
    """Where ``drop_patches`` changed a film that its own mean is not in."""
    dropped, _ = drop_patches(film, (), np.random.default_rng(seed))
    assert film.dtype == dropped.dtype == np.uint8
    return dropped != film


def test_patches_are_few_small_inside_and_of_the_films_mean():
    film = np.where(np.arange(224 * 224).reshape(224, 224) % 2, 250, 10).astype(np.uint8)
    shares = []
    for seed in range(200):
        dropped, _ = drop_patches(film, (), np.random.default_rng(seed))
        hidden = dropped != film
        assert set(np.unique(dropped[hidden])) == {130}
        assert not hidden[:22].any()
        assert not hidden[-22:].any()
        assert not hidden[:, :22].any()
        assert not hidden[:, -22:].any()
        shares.append(hidden.mean())
    assert min(shares) > 0.001
    assert max(shares) <= 3 * 0.12**2 * 1.05
    assert len({round(share, 4) for share in shares}) > 100


def test_a_box_that_is_mostly_hidden_goes_and_no_other():
    film = np.where(np.arange(100 * 100).reshape(100, 100) % 2, 250, 10).astype(np.uint8)
    gone = 0
    for seed in range(200):
        rows, columns = np.nonzero(hidden_by(film, seed))
        y, x = int(rows.min()), int(columns.min())
        boxes = (
            Box(0, 1, 0.0, 0.0, 0.08, 0.08),  # in a corner, where no patch comes
            Box(0, 2, 0.15, 0.15, 0.85, 0.85),  # far larger than all of them
            Box(0, 3, x / 100, y / 100, (x + 5) / 100, (y + 5) / 100),
        )
        share = hidden_by(film, seed)[y : y + 5, x : x + 5].mean()
        _, kept = drop_patches(film, boxes, np.random.default_rng(seed))
        assert [box.finding for box in kept] == [1, 2, 3][: 2 if share > 0.5 else 3], seed
        gone += share > 0.5
    assert 50 < gone < 200


def test_patches_come_seldom_and_a_tiny_film_has_none(monkeypatch):
    film = lopsided_film()
    transform = train_transform(96)
    with_patches = [transform(film, seed) for seed in range(400)]
    monkeypatch.setattr(transforms, "PATCH_CHANCE", 0.0)
    differ = [not np.array_equal(varied, transform(film, seed)) for seed, varied in enumerate(with_patches)]
    assert 0.08 < np.mean(differ) < 0.22
    few = np.arange(9, dtype=np.uint8).reshape(3, 3)
    assert all((drop_patches(few, (), np.random.default_rng(seed))[0] != few).sum() <= 1 for seed in range(20))


def test_a_size_below_one_is_refused():
    with pytest.raises(ValueError, match="size"):
        eval_transform(0)
