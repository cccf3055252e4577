from __future__ import annotations

import torch
from torch import Tensor

from ammrg.networks.film_cache import FilmCache
from ammrg.networks.visual_prompt import SeenFilms
from ammrg.types import StudyBatch


def seen(images: Tensor) -> SeenFilms:
    values = images.flatten(1).float()
    return SeenFilms(
        values.mean(1, keepdim=True).expand(-1, 14), values[:, None, :4].expand(-1, 14, -1), values[:, :, None], (2, 2)
    )


def batch(*studies: int) -> StudyBatch:
    """Study i has i films of its own."""
    films = [torch.full((count, 1, 2, 2), 10 * count) + torch.arange(count)[:, None, None, None] for count in studies]
    return StudyBatch(
        images=torch.cat(films).to(torch.uint8),
        study_of_view=torch.cat([torch.full((count,), row) for row, count in enumerate(studies)]),
        labels=torch.zeros(len(studies), 14),
        reports=[""] * len(studies),
        study_ids=[str(count) for count in studies],
        subject_ids=[str(count) for count in studies],
        projections=["frontal"] * sum(studies),
        boxes=[],
    )


def test_each_study_is_looked_at_once_and_comes_back_in_the_order_of_the_batch() -> None:
    cache, asked = FilmCache(1), []

    for studies in ((1, 3), (2, 3, 1), (3, 2)):
        images = batch(*studies).images

        def see(films: Tensor, images: Tensor = images) -> SeenFilms:
            asked.append(int(films.sum()))
            return seen(images[films])

        found, expected = cache(batch(*studies), see), seen(images)
        for one, other in zip(found[:3], expected[:3], strict=True):
            assert torch.equal(one, other)
        assert found.grid == (2, 2)
    assert asked == [4, 2]


def test_a_study_that_comes_twice_in_a_batch_is_looked_at_once_and_takes_no_other_s_films() -> None:
    cache = FilmCache(1)
    for studies in ((1, 3, 1, 2), (2, 2), (3, 1)):
        images = batch(*studies).images
        found, expected = cache(batch(*studies), lambda films, images=images: seen(images[films])), seen(images)
        assert all(torch.equal(one, other) for one, other in zip(found[:3], expected[:3], strict=True))
    assert set(cache.kept) == {"1", "2", "3"}


def test_a_full_cache_computes_what_it_does_not_hold() -> None:
    cache = FilmCache(1)
    cache.room = 2 * 4 * (14 + 14 * 4 + 4)  # two films
    for studies in ((1, 2), (1, 2)):
        images = batch(*studies).images
        found = cache(batch(*studies), lambda films, images=images: seen(images[films]))
        expected = seen(images)
        assert all(torch.equal(one, other) for one, other in zip(found[:3], expected[:3], strict=True))
    assert set(cache.kept) == {"1"}
