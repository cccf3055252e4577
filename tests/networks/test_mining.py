"""A batch mined at once against the same films one by one, with the tokens worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ammrg.memory.crops import crop_films
from ammrg.networks.disease_classifier import DiseaseClassifier
from ammrg.networks.mining import mine_regions
from tests.tiny_encoder import ENCODER


def build(positions: bool = True) -> DiseaseClassifier:
    torch.manual_seed(3)
    qformer = {"width": 16, "layers": 2, "heads": 2, "cross_attention_every": 1, "positions": positions}
    classifier = DiseaseClassifier(ENCODER, qformer).eval()
    classifier.thresholds.fill_(0.0)
    return classifier


def films(count: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 1, 64, 64), generator=generator, dtype=torch.uint8)
    labels = (torch.rand(count, 14, generator=generator) < 0.3).float()
    labels[0] = 0.0
    return images, labels


@pytest.mark.parametrize("region_tokens", ["feature", "crop"])
@pytest.mark.parametrize("form", ["windows", "patches"])
def test_a_batch_gives_what_its_films_give_alone(form: Any, region_tokens: Any) -> None:
    classifier, (images, labels) = build(), films()
    together, probabilities, shows_place = mine_regions(
        classifier, images, labels, form=form, region_tokens=region_tokens
    )
    assert shows_place.any()
    assert sum(map(len, together)) > len(images)
    assert together[0] == []
    torch.testing.assert_close(probabilities, classifier(images).logits.detach().sigmoid())
    for film, regions in enumerate(together):
        (alone,), _, _ = mine_regions(
            classifier,
            images[film : film + 1],
            labels[film : film + 1],
            form=form,
            region_tokens=region_tokens,
        )
        assert [r[:2] for r in alone] == [r[:2] for r in regions]
        for one, other in zip(alone, regions, strict=True):
            torch.testing.assert_close(one.token, other.token, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("positions", [True, False])
def test_crop_tokens_are_the_projected_mean_of_the_crops_own_tokens(positions: bool) -> None:
    classifier, (images, labels) = build(positions), films()
    mined, _, _ = mine_regions(classifier, images, labels, region_tokens="crop")
    plain, _, _ = mine_regions(classifier, images, labels)
    assert [[r[:3] for r in regions] for regions in mined] == [[r[:3] for r in regions] for regions in plain]
    film, region = next((film, regions[0]) for film, regions in enumerate(mined) if regions)
    crop = crop_films(images, [region.box], [film])
    with torch.no_grad():
        expected = classifier.qformer.project(classifier.encoder(crop).tokens[0].mean(0))
        if classifier.qformer.positions is not None:
            x0, y0, x1, y1 = region.box
            centre = torch.tensor([[(y0 + y1) / 2, (x0 + x1) / 2]])
            expected = expected + classifier.qformer.positions.at(centre)[0]
    torch.testing.assert_close(region.token, expected, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(region.token, next(r for r in plain[film]).token, atol=1e-3)


def test_nothing_positive_gives_nothing() -> None:
    classifier, (images, _) = build(), films()
    for region_tokens in ("feature", "crop"):
        mined, _, _ = mine_regions(classifier, images, torch.zeros(5, 14), region_tokens=region_tokens)
        assert mined == [[]] * 5


@pytest.mark.parametrize("region_tokens", ["feature", "crop"])
@pytest.mark.parametrize("form", ["windows", "patches"])
def test_a_network_whose_maps_are_flat_gives_no_region_and_says_so(form: Any, region_tokens: Any) -> None:
    classifier, (images, labels) = build(), films()
    with torch.no_grad():
        for query_side in classifier.head.parameters():
            query_side.zero_()  # no logit moves with any token: every gradient, and so every map, is zero
    mined, _, shows_place = mine_regions(classifier, images, labels, form=form, region_tokens=region_tokens)
    assert mined == [[]] * len(images)
    assert not shows_place.any()
