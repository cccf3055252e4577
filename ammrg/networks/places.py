"""Where on a film a finding is: its side and level.

Training reports say where their findings are, in words that :mod:`ammrg.text.places` reads. A small head learns these
words from Q_f, which holds the place of the tokens that its query attends to, or from the tokens in which the finding
is seen. The head is shared by all findings; each finding has a bias of its own, because reports say more often where a
nodule is than where an edema is.

Only frontal films have a left and a right side, so places are learned and read from these alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ammrg.findings import FINDINGS, NUM_FINDINGS
from ammrg.text.place_words import LEVELS, SIDES
from ammrg.text.places import Place, finding_places, own_place

PlaceSource = Literal["queries", "tokens"]
SHARPNESS = 2.0
"""Deviations of the evidence are multiplied by this before their softmax."""
ELEMENTS = (*SIDES, *LEVELS)
"""The elements of a place, in the order of the head's outputs."""
ASPECTS: dict[str, slice] = {"side": slice(0, len(SIDES)), "level": slice(len(SIDES), len(ELEMENTS))}
"""The outputs of each aspect."""


class PlaceTargets(NamedTuple):
    """What reports say about the places of findings."""

    elements: Tensor
    """float32 ``[b 14 5]``: 1 where the report names the element for the finding."""
    affirmed: Tensor
    """bool ``[b 14]``: findings that the report affirms, with or without a place."""


class PlaceHead(nn.Module):
    """A perceptron with one hidden layer: Q_f, or tokens of findings -> logits of the five elements of a place.

    Args:
        width: q.

    Attributes:
        thresholds: float32 ``[2]``, of sides and levels: probabilities from which an element is named; 0.5 until they
            are chosen on validation. Part of the state dict.
    """

    thresholds: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, len(ELEMENTS))
        )
        self.bias = nn.Parameter(torch.zeros(NUM_FINDINGS, len(ELEMENTS)))
        self.register_buffer("thresholds", torch.full((len(ASPECTS),), 0.5))

    def forward(self, queries: Tensor) -> Tensor:
        """Compute logits ``[.. 14 5]`` from ``[.. 14 q]``."""
        return cast(Tensor, self.layers(queries) + self.bias)

    def named(self, probabilities: Tensor) -> Tensor:
        """Return which elements are named, bool like the probabilities ``[.. 14 5]``."""
        return torch.cat(
            [probabilities[..., part] >= least for part, least in zip(ASPECTS.values(), self.thresholds, strict=True)],
            dim=-1,
        )


def tokens_of_findings(tokens: Tensor, weights: Tensor) -> Tensor:
    """Average each film's tokens for each finding, most of all those that speak for it.

    A token's evidence is its product with the finding's weights, normalised over the film's tokens to mean 0 and
    deviation 1; the tokens count by the softmax of :data:`SHARPNESS` times it. No gradient goes through the evidence:
    where a finding is seen is taught by its labels alone.

    Args:
        tokens: projected tokens ``[v n q]``, which know their place on the film.
        weights: of the head of the findings, ``[14 q]``.

    Returns:
        ``[v 14 q]``.
    """
    with torch.no_grad():
        evidence = torch.einsum("vnq,iq->vin", tokens.float(), weights.float())
        evidence = evidence - evidence.mean(dim=-1, keepdim=True)
        shares = (SHARPNESS * evidence / evidence.std(dim=-1, keepdim=True).clamp(min=1e-6)).softmax(dim=-1)
    return torch.einsum("vin,vnq->viq", shares.to(tokens), tokens)


def place_targets(reports: Sequence[str], device: torch.device | None = None) -> PlaceTargets:
    """Read from b reports where they put the findings that they affirm."""
    found = [finding_places(report) for report in reports]
    elements = [[list(map(float, elements_of(place))) for place in _all(each)] for each in found]
    affirmed = [[name in each for name in FINDINGS] for each in found]
    return PlaceTargets(torch.tensor(elements, device=device), torch.tensor(affirmed, device=device))


def elements_of(place: Place) -> tuple[bool, ...]:
    """Tell for each of :data:`ELEMENTS` whether the place has it."""
    return tuple(word in place.side | place.level for word in ELEMENTS)


def place_of(elements: Sequence[bool]) -> Place:
    """Return the place that has these of :data:`ELEMENTS`."""
    named = [
        [word for word, has in zip(ELEMENTS[part], elements[part], strict=True) if has] for part in ASPECTS.values()
    ]
    return Place(*map(frozenset, named))


def _all(places: dict[str, Place]) -> list[Place]:
    return [places.get(name, Place()) for name in FINDINGS]


def place_loss(logits: Tensor, targets: PlaceTargets) -> Tensor:
    """Sum, over the findings that the reports affirm, the mean binary cross entropy of the five elements.

    Args:
        logits: ``[b 14 5]``.
        targets: of the same b reports.

    Returns:
        A scalar.
    """
    losses = F.binary_cross_entropy_with_logits(logits.float(), targets.elements, reduction="none").mean(-1)
    return (losses * targets.affirmed).sum()


def is_frontal(projections: Sequence[str], device: torch.device | None = None) -> Tensor:
    """Tell which films count as frontal, bool ``[v]``: all but those known to be lateral."""
    return torch.tensor([projection != "lateral" for projection in projections], dtype=torch.bool, device=device)


def study_places(
    places: Tensor,
    logits: Tensor,
    study_of_view: Tensor,
    projections: Sequence[str],
    studies: int,
) -> Tensor:
    """Read the places of each study's findings from the frontal film on which the finding is most probable.

    Args:
        places: logits of the places of findings on v films, ``[v 14 5]``.
        logits: of the findings, ``[v 14]``.
        study_of_view: int64 ``[v]``, the row of each film's study.
        projections: of the films, length v.
        studies: b.

    Returns:
        Probabilities ``[b 14 5]``; 0 for a study without a frontal film.
    """
    frontal = is_frontal(projections, logits.device)
    of_films = places.sigmoid()
    of_studies = of_films.new_zeros(studies, NUM_FINDINGS, len(ELEMENTS))
    findings = torch.arange(NUM_FINDINGS, device=logits.device)
    for study in range(studies):
        films = (frontal & (study_of_view == study)).nonzero().flatten()
        if len(films):
            of_studies[study] = of_films[films[logits[films].argmax(0)], findings]
    return of_studies + 0 * of_films.sum()  # in the graph even without a frontal film


def choose_place_thresholds(probabilities: Tensor, targets: PlaceTargets) -> Tensor:
    """Choose the threshold of each aspect with the best micro F1 over the elements of affirmed findings.

    Args:
        probabilities: ``[b 14 5]``.
        targets: of the same b studies.

    Returns:
        float32 ``[2]``; 0.5 for an aspect that no report names.
    """
    chosen = torch.full((len(ASPECTS),), 0.5)
    for number, part in enumerate(ASPECTS.values()):
        found = probabilities[targets.affirmed][:, part].float().flatten().cpu()
        wanted = targets.elements[targets.affirmed][:, part].flatten().cpu()
        if not wanted.any():
            continue
        order = found.argsort(descending=True)
        true = wanted[order].cumsum(0)
        f1 = 2 * true / (torch.arange(1, len(order) + 1) + wanted.sum())
        best = int(f1.argmax())
        below = found[order[best + 1]] if best + 1 < len(order) else found[order[best]] * 0
        chosen[number] = (found[order[best]] + below) / 2
    return chosen


def named_places(found: Tensor, named: Tensor | None) -> list[dict[str, tuple[str, ...]]]:
    """List the places of the findings that were found.

    Args:
        found: bool ``[b 14]``.
        named: bool ``[b 14 5]``; None = no places are known.

    Returns:
        For each study: finding -> sides and levels, without findings whose place is not known.
    """
    places: list[dict[str, tuple[str, ...]]] = [{} for _ in found]
    if named is not None:
        for study, finding in found.cpu().nonzero().tolist():
            place = own_place(FINDINGS[finding], place_of(named[study, finding].tolist()))
            words = tuple(word for word, has in zip(ELEMENTS, elements_of(place), strict=True) if has)
            if words:
                places[study][FINDINGS[finding]] = words
    return places


def places_of(named: Tensor) -> list[list[Place]]:
    """Turn named elements, bool ``[b 14 5]``, into a place for each study and finding."""
    return [[place_of(row) for row in study] for study in named.tolist()]
