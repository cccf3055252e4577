"""The place head learns words of place from Q_f; thresholds, and the film that decides a study's places."""

from __future__ import annotations

import pytest
import torch

from ammrg.errors import SettingsError
from ammrg.findings import FINDINGS
from ammrg.networks.disease_classifier import DiseaseClassifier
from ammrg.networks.places import (
    ELEMENTS,
    PlaceHead,
    choose_place_thresholds,
    elements_of,
    named_places,
    place_loss,
    place_of,
    place_targets,
    places_of,
    study_places,
    tokens_of_findings,
)
from ammrg.text.places import Place
from tests.tiny_encoder import ENCODER
from tests.tiny_stage2 import QFORMER

EFFUSION, PNEUMONIA, HEART = (FINDINGS.index(name) for name in ("Pleural Effusion", "Pneumonia", "Cardiomegaly"))
REPORTS = [
    "Left pleural effusion. The heart is enlarged. No right pneumothorax.",
    "Pneumonia in the right upper lobe.",
    "Bilateral pleural effusions.",
    "The lungs are clear.",
]


def place(side: str = "", level: str = "") -> Place:
    return Place(frozenset(side.split()), frozenset(level.split()))


def test_targets_are_the_places_of_affirmed_findings() -> None:
    elements, affirmed = place_targets(REPORTS)
    assert elements.shape == (4, 14, 5)
    assert affirmed.shape == (4, 14)
    assert affirmed.nonzero().tolist() == sorted([[0, HEART], [0, EFFUSION], [1, PNEUMONIA], [2, EFFUSION]])
    assert [ELEMENTS[i] for i in elements[0, EFFUSION].nonzero().flatten()] == ["left"]
    assert [ELEMENTS[i] for i in elements[1, PNEUMONIA].nonzero().flatten()] == ["right", "upper"]
    assert elements[2, EFFUSION].tolist() == [1, 1, 0, 0, 0]
    assert elements.sum() == 5


@pytest.mark.parametrize("found", [place(), place("left"), place("left right", "lower"), place("right", "upper mid")])
def test_elements_and_places_are_the_same(found: Place) -> None:
    assert place_of(elements_of(found)) == found
    assert places_of(torch.tensor([[elements_of(found)] * 14])) == [[found] * 14]


def test_the_loss_counts_affirmed_findings_only() -> None:
    targets = place_targets(REPORTS)
    logits = torch.where(targets.elements > 0, 20.0, -20.0)
    assert float(place_loss(logits, targets)) < 1e-6
    wrong = logits.clone()
    wrong[3] = -wrong[3]  # the normal study
    wrong[0, PNEUMONIA] = -wrong[0, PNEUMONIA]  # denied there
    assert float(place_loss(wrong, targets)) < 1e-6
    wrong[1, PNEUMONIA] = -wrong[1, PNEUMONIA]
    assert float(place_loss(wrong, targets)) == pytest.approx(20.0, abs=1e-3)


def test_a_head_learns_the_place_from_the_query() -> None:
    torch.manual_seed(0)
    head, marks = PlaceHead(8), torch.randn(5, 8)
    elements = (torch.rand(60, 14, 5) < 0.3).float()
    queries = elements @ marks + 0.1 * torch.randn(60, 14, 8)
    targets = place_targets(["x"] * 60)._replace(elements=elements, affirmed=torch.ones(60, 14, dtype=torch.bool))
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(300):
        optimizer.zero_grad()
        place_loss(head(queries), targets).backward()
        optimizer.step()
    named = head.named(head(queries).sigmoid())
    assert (named == elements.bool()).float().mean() > 0.97


def test_thresholds_have_the_best_f1() -> None:
    torch.manual_seed(1)
    elements = (torch.rand(40, 14, 5) < 0.25).float()
    probabilities = (0.2 * elements + 0.3 * torch.rand(40, 14, 5)).clamp(0, 1)
    targets = place_targets(["x"] * 40)._replace(elements=elements, affirmed=torch.rand(40, 14) < 0.5)
    chosen = choose_place_thresholds(probabilities, targets)

    def f1(part: slice, least: float) -> float:
        named = probabilities[targets.affirmed][:, part] >= least
        wanted = elements[targets.affirmed][:, part] > 0
        return float(2 * (named & wanted).sum() / (named.sum() + wanted.sum()))

    for aspect, part in enumerate((slice(0, 2), slice(2, 5))):
        best = max(f1(part, least) for least in torch.linspace(0, 1, 401).tolist())
        assert f1(part, float(chosen[aspect])) >= best - 1e-9
    nothing = targets._replace(elements=torch.zeros_like(elements))
    assert choose_place_thresholds(probabilities, nothing).tolist() == [0.5, 0.5]


def test_places_come_from_the_frontal_film_that_decides_the_finding() -> None:
    torch.manual_seed(2)
    places, logits = torch.randn(5, 14, 5), torch.randn(5, 14)
    owners = torch.tensor([0, 0, 0, 1, 2])
    projections = ["frontal", "lateral", "unknown", "lateral", "frontal"]
    found = study_places(places, logits, owners, projections, 3)
    for finding in range(14):
        film = max((0, 2), key=lambda row: float(logits[row, finding]))
        torch.testing.assert_close(found[0, finding], places[film, finding].sigmoid())
    assert found[1].abs().sum() == 0  # only a lateral film: it has no side
    torch.testing.assert_close(found[2], places[4].sigmoid())


def test_a_finding_is_read_from_the_tokens_that_speak_for_it() -> None:
    """One token of each film speaks for finding 3, and the average is nearly that token; no other finding moves."""
    weights = torch.zeros(14, 8)
    weights[3, 0] = 1.0
    tokens = torch.zeros(2, 49, 8)
    tokens[:, :, 1] = torch.arange(49.0)  # where the token is
    tokens[0, 40, 0] = tokens[1, 8, 0] = 5.0
    tokens.requires_grad_()
    found = tokens_of_findings(tokens, weights)
    assert found.shape == (2, 14, 8)
    torch.testing.assert_close(found[:, 3, 1], torch.tensor([40.0, 8.0]), atol=0.01, rtol=0)
    torch.testing.assert_close(found[:, 5, 1], torch.full((2,), 24.0))
    found[:, 3, 1].sum().backward()
    assert tokens.grad is not None
    assert not tokens.grad[..., 0].any()  # the evidence itself is not taught


def test_places_are_read_from_queries_or_from_tokens() -> None:
    torch.manual_seed(0)
    films = torch.randint(0, 256, (2, 1, 32, 32), dtype=torch.uint8)
    for source in ("queries", "tokens"):
        network = DiseaseClassifier(ENCODER, QFORMER, places=source).eval()  # type: ignore[arg-type]
        again = DiseaseClassifier.from_config(network.config).eval()
        again.load_state_dict(network.state_dict())
        seen = network(films)
        assert seen.places is not None
        assert network.place_head is not None
        read = seen.queries if source == "queries" else tokens_of_findings(seen.tokens, network.finding_weights)
        torch.testing.assert_close(seen.places, network.place_head(read))
        torch.testing.assert_close(again(films).places, seen.places)
    assert DiseaseClassifier(ENCODER, QFORMER, places=True).config["places"] is True  # as earlier versions wrote it
    with pytest.raises(SettingsError, match=r"places_from: tokens needs the weights of a head per query, .* is pooled"):
        DiseaseClassifier(ENCODER, QFORMER, head="pooled", places="tokens")


def test_a_classifier_with_places_is_built_again_and_one_without_says_nothing_of_them() -> None:
    plain, placed = DiseaseClassifier(ENCODER, QFORMER), DiseaseClassifier(ENCODER, QFORMER, places="queries")
    assert "places" not in plain.config  # as in checkpoints of earlier versions
    assert not any("place" in key for key in plain.state_dict())
    again = DiseaseClassifier.from_config(placed.config)
    again.load_state_dict(placed.state_dict(), strict=True)
    assert again.place_head is not None


def test_places_are_listed_for_findings_that_were_found() -> None:
    found = torch.zeros(2, 14, dtype=torch.bool)
    found[0, [EFFUSION, HEART, PNEUMONIA]] = True
    named = torch.zeros(2, 14, 5, dtype=torch.bool)
    named[:, :, [ELEMENTS.index("left"), ELEMENTS.index("lower")]] = True
    named[:, PNEUMONIA] = False
    # The heart has no side, the lower level of an effusion goes without saying, and no place of the pneumonia is known.
    assert named_places(found, named) == [{"Pleural Effusion": ("left",)}, {}]
    assert named_places(found, None) == [{}, {}]


def test_a_batch_of_lateral_films_keeps_the_head_in_the_graph() -> None:
    """Several processes train together only if each has a gradient, if only of zeros, for every parameter."""
    head = PlaceHead(8)
    places = head(torch.randn(2, 14, 8))
    found = study_places(places, torch.randn(2, 14), torch.tensor([0, 1]), ["lateral"] * 2, 2)
    assert found.abs().sum() == 0
    found.sum().backward()
    assert all(each.grad is not None and not each.grad.any() for each in head.parameters())
