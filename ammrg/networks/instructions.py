"""The instruction for each study: the findings that it names, and the thresholds for naming them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ammrg.findings import ABNORMAL, FINDINGS, NUM_FINDINGS
from ammrg.networks.language_model import LanguageModel
from ammrg.networks.places import places_of
from ammrg.text.places import Place, own_place
from ammrg.text.prompts import instruction, template_fields


def instructions(template: str, named: Tensor, indications: Sequence[str], placed: Tensor | None = None) -> list[str]:
    """Write the instruction of each study.

    Args:
        template: see :mod:`ammrg.text.prompts`.
        named: bool ``[b 14]``: the findings to name, where the template has ``{findings}`` or ``{placed_findings}``.
        indications: b texts, or none.
        placed: bool ``[b 14 5]``: the places to name for them; None = no places are known.

    Returns:
        b texts.
    """
    if not template_fields(template):
        return [instruction(template, {}, "")] * len(named)  # one text for all, which is embedded once
    places = [[Place()] * NUM_FINDINGS] * len(named) if placed is None else places_of(placed)
    present = [
        {FINDINGS[i]: own_place(FINDINGS[i], where[i]) for i in ABNORMAL if row[i]}
        for row, where in zip(named.tolist(), places, strict=True)
    ]
    known = indications or [""] * len(named)
    return [instruction(template, *of_study) for of_study in zip(present, known, strict=True)]


def thresholds_of_prevalence(probabilities: Tensor, prevalence: Tensor) -> Tensor:
    """Compute thresholds with which each finding is predicted in about as many studies as have it.

    The thresholds with the best F1 are low for findings that are hard to see. With these, the instruction would name
    such a finding in several times as many studies as have it, and so would the reports.

    Args:
        probabilities: ``[n 14]``, of stage 1 for studies that it was not trained on.
        prevalence: ``[14]`` in [0, 1].

    Returns:
        float32 ``[14]``; infinite where the prevalence is 0.
    """
    thresholds = torch.full((len(prevalence),), torch.inf)
    for finding, share in enumerate(prevalence.tolist()):
        if share:
            rank = probabilities[:, finding].float().quantile(1 - share)
            # just below, so that a study with exactly this probability is above the threshold
            thresholds[finding] = rank.nextafter(torch.zeros_like(rank))
    return thresholds


def embedded_words(language_model: LanguageModel, names: Sequence[str]) -> Tensor:
    """Return the mean embedding of the tokens of each of n names, float32 ``[n d]``, without gradient."""
    tokens = [language_model.tokenizer.encode(f" {name.lower()}", add_special_tokens=False) for name in names]
    with torch.no_grad():
        return torch.stack([language_model.embed(torch.tensor(ids)).float().mean(0) for ids in tokens])
