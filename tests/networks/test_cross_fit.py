from __future__ import annotations

import pytest
import torch

from ammrg.folds import fold_of
from ammrg.networks.cross_fit import AffineFit, CrossFit, SpaceFit, mapped, same_spread
from ammrg.networks.disease_classifier import DiseaseClassifier
from tests.tiny_encoder import ENCODER
from tests.tiny_stage2 import QFORMER

SUBJECTS = [f"patient {number}" for number in range(12)]


def network(seed: int) -> DiseaseClassifier:
    torch.manual_seed(seed)
    return DiseaseClassifier(ENCODER, QFORMER).eval()


def films(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (count, 1, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_a_map_is_the_least_squares_one_whatever_the_parts_it_came_in() -> None:
    draw = torch.Generator().manual_seed(0)
    x, y = (torch.randn(60, 3, width, generator=draw, dtype=torch.float64) for width in (5, 4))
    x[:, 1] += 7  # far from the origin
    fit = AffineFit(3, 5, 4)
    for start, stop in ((0, 7), (7, 40), (40, 60)):
        fit.add(x[start:stop], y[start:stop])
    found = fit.solve(ridge=1e-9)
    for group in range(3):
        rows = torch.cat([x[:, group], torch.ones(60, 1, dtype=torch.float64)], dim=1)
        expected = torch.linalg.lstsq(rows, y[:, group]).solution
        torch.testing.assert_close(found[group].double(), expected, atol=1e-5, rtol=1e-5)


def test_the_penalty_shrinks_the_map_to_the_mean() -> None:
    x, y = torch.randn(50, 1, 3), torch.randn(50, 1, 2) + 5
    fit = AffineFit(1, 3, 2)
    fit.add(x, y)
    torch.testing.assert_close(mapped(x, fit.solve(1e9)), y.mean(0, keepdim=True).expand(50, -1, -1))
    with pytest.raises(ValueError, match="no rows"):
        AffineFit(1, 3, 2).solve(1.0)


def test_each_film_is_read_by_the_network_that_never_saw_its_patient() -> None:
    target, folds = network(0), [network(1), network(2), network(3)]
    fits = [SpaceFit(target.width, target.encoder.token_width) for _ in folds]
    with torch.no_grad():
        for fit, fold in zip(fits, folds, strict=True):
            fit.add(fold(films(40)), target(films(40)))
        unseen = films(20, seed=2)
        maps = [
            fit.solve(1e-3)._replace(logits=same_spread(fold(unseen).logits, target(unseen).logits))
            for fit, fold in zip(fits, folds, strict=True)
        ]
        for fold, affine in zip(folds, maps, strict=True):
            logits, wanted = fold(unseen).logits * affine.logits[0] + affine.logits[1], target(unseen).logits
            torch.testing.assert_close(logits.mean(0), wanted.mean(0), atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(logits.std(0), wanted.std(0), atol=1e-4, rtol=1e-4)
        cross_fit = CrossFit(folds, maps).train()
        images = films(len(SUBJECTS), seed=1)
        seen = cross_fit.see(images, SUBJECTS)
        assert {fold_of(subject, 3) for subject in SUBJECTS} == {0, 1, 2}
        for row, subject in enumerate(SUBJECTS):
            fold = fold_of(subject, 3)
            said = folds[fold](images[row : row + 1])
            logits = said.logits[0] * maps[fold].logits[0] + maps[fold].logits[1]
            torch.testing.assert_close(seen.logits[row], logits, atol=1e-4, rtol=1e-4)
            queries = mapped(said.queries, maps[fold].queries)[0]
            torch.testing.assert_close(seen.queries[row], queries, atol=1e-4, rtol=1e-4)
            tokens = mapped(said.raw_tokens[0][:, None], maps[fold].raw_tokens)[:, 0]
            torch.testing.assert_close(seen.raw_tokens[row], tokens, atol=1e-4, rtol=1e-4)
    assert not cross_fit.training
    assert not any(part.training for part in cross_fit.modules())
    assert not any(parameter.requires_grad for parameter in cross_fit.parameters())


def test_a_network_of_the_same_space_is_left_as_it_is() -> None:
    """Queries vary in a few directions only over so few films: what is mapped must come out, not the map itself."""
    target = network(0)
    fit = SpaceFit(target.width, target.encoder.token_width)
    with torch.no_grad():
        fit.add(target(films(60)), target(films(60)))
        seen = CrossFit([network(0), network(0)], [fit.solve(1e-6)] * 2).see(films(6), SUBJECTS[:6])
        expected = target(films(6))
    torch.testing.assert_close(seen.logits, expected.logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(seen.queries, expected.queries, atol=0.02, rtol=0)
    torch.testing.assert_close(seen.raw_tokens, expected.raw_tokens, atol=0.02, rtol=0)
