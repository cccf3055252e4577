"""What the instruction says of a study: which findings it names, and how often."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ammrg.findings import ABNORMAL, FINDINGS
from ammrg.networks.language_model import LanguageModel
from ammrg.text.prompts import instruction, template_fields


def instructions(template: str, named: Tensor, indications: Sequence[str]) -> list[str]:
    """The instruction of each study.

    Args:
        template: see :mod:`ammrg.text.prompts`.
        named: bool ``[b 14]``: the findings that are named, where the template has ``{findings}``.
        indications: b of them, or none.
    """
    if not template_fields(template):
        return [instruction(template, (), "")] * len(named)  # one text, embedded once
    present = [[FINDINGS[i].lower() for i in ABNORMAL if row[i]] for row in named.tolist()]
    known = indications or [""] * len(named)
    return [instruction(template, *of_study) for of_study in zip(present, known, strict=True)]


def thresholds_of_prevalence(probabilities: Tensor, prevalence: Tensor) -> Tensor:
    """Thresholds ``[14]`` above which each finding is predicted in as many studies as have it.

    Thresholds with the best F1 lie lower the harder a finding is to see: told what stage 1 says above them, a language
    model would write of it in several times as many reports as it belongs in.

    Args:
        probabilities: ``[n 14]``, stage 1's of studies it was not trained on.
        prevalence: ``[14]`` in [0, 1]; the threshold of what nobody has is infinite.
    """
    thresholds = torch.full((len(prevalence),), torch.inf)
    for finding, share in enumerate(prevalence.tolist()):
        if share:
            rank = probabilities[:, finding].float().quantile(1 - share)
            # just below, so that a study that lies on it is named too
            thresholds[finding] = rank.nextafter(torch.zeros_like(rank))
    return thresholds


def embedded_names(language_model: LanguageModel) -> Tensor:
    """``[14 d]``: the mean embedding of the words of each finding's name, float32, without gradient."""
    names = [language_model.tokenizer.encode(f" {name.lower()}", add_special_tokens=False) for name in FINDINGS]
    with torch.no_grad():
        return torch.stack([language_model.embed(torch.tensor(ids)).float().mean(0) for ids in names])
