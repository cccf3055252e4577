"""Mirrored training studies: films and sides are exchanged together, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ammrg.errors import SettingsError
from ammrg.networks.places import place_targets
from ammrg.text.report_terms import NUM_TERMS, TERMS
from ammrg.types import StudyBatch
from lightning_modules.disease_classification import DiseaseClassification
from lightning_modules.mirrored_studies import exchanged_elements, exchanged_terms, mirror
from lightning_modules.place_scores import placed_films_loss
from tests.lightning_modules.blobs import SETTINGS, Blobs, collate, loader, trainer

LEFT = "Moderate left pleural effusion. Opacity in the right upper lobe."
RIGHT = "Moderate right pleural effusion. Opacity in the left upper lobe."
BOTH = "Bilateral pleural effusions. Mild cardiomegaly."


def batch(*reports: str) -> StudyBatch:
    """One study for each report; the last has two films."""
    made = collate([Blobs(len(reports), 0)[i] for i in range(len(reports))])._replace(reports=list(reports))
    count = len(reports)
    return made._replace(
        images=torch.cat([made.images, made.images[:1]]),
        study_of_view=torch.tensor([*range(count), count - 1]),
        projections=["frontal"] * (count + 1),
    )


def test_nothing_is_drawn_or_changed_without_a_share() -> None:
    films = batch(LEFT, RIGHT)
    before = torch.get_rng_state()
    same, mirrored = mirror(films, 0.0)
    assert same is films
    assert mirrored.tolist() == [False, False]
    assert torch.equal(torch.get_rng_state(), before)


def test_all_films_of_a_drawn_study_are_mirrored_and_no_others() -> None:
    films = batch(*[LEFT] * 40)
    torch.manual_seed(3)
    turned, mirrored = mirror(films, 0.5)
    assert 8 < int(mirrored.sum()) < 32
    for film, study in enumerate(films.study_of_view.tolist()):
        own = films.images[film]
        assert torch.equal(turned.images[film], own.flip(-1) if mirrored[study] else own)
    assert turned._replace(images=films.images) == films
    assert mirror(films, 1.0)[1].all()


def test_sides_are_exchanged_and_levels_are_not() -> None:
    own, other = (place_targets([text, BOTH]).elements for text in (LEFT, RIGHT))
    assert not torch.equal(own, other)
    assert torch.equal(exchanged_elements(own, torch.tensor([True, True])), other)
    assert torch.equal(exchanged_elements(own, torch.tensor([False, True])), own)


def test_the_terms_left_and_right_are_exchanged() -> None:
    affirmed = torch.zeros(2, NUM_TERMS)
    affirmed[:, [TERMS.index("left"), TERMS.index("cardiomegaly")]] = 1
    found = exchanged_terms(affirmed, torch.tensor([True, False]))
    named = [[term for term, has in zip(TERMS, row, strict=True) if has] for row in found.tolist()]
    assert [set(row) for row in named] == [{"right", "cardiomegaly"}, {"left", "cardiomegaly"}]


def test_the_place_loss_of_a_mirrored_study_is_that_of_the_other_side() -> None:
    torch.manual_seed(0)
    places = torch.randn(3, 14, 5)
    ones, none = torch.ones(2, dtype=torch.bool), torch.zeros(2, dtype=torch.bool)
    mirrored = placed_films_loss(places, batch(LEFT, BOTH), ones)
    assert mirrored.item() == pytest.approx(placed_films_loss(places, batch(RIGHT, BOTH), none).item())
    assert mirrored.item() != pytest.approx(placed_films_loss(places, batch(LEFT, BOTH), none).item())


def test_a_training_with_mirrored_studies(tmp_path: Path) -> None:
    settings = {**SETTINGS, "place_loss": 1.0, "report_terms": 1.0, "mirrored_studies": 0.5}
    fit = trainer(tmp_path, max_epochs=1, enable_checkpointing=False)
    fit.fit(DiseaseClassification(**settings), loader(48, 1), loader(16, 2))
    assert fit.callback_metrics["train/loss"].isfinite()


def test_a_share_above_1_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"model\.mirrored_studies \(1\.5\)"):
        DiseaseClassification(**{**SETTINGS, "mirrored_studies": 1.5})
