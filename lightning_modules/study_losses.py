"""Token losses weighted and summed by study, and the hinge loss that makes a report depend on the study's own films."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ammrg.networks.language_model import TargetLosses
from ammrg.types import StudyBatch


class TokenMarks(NamedTuple):
    """The weights of a report's tokens in a loss."""

    abnormal: float
    """Of those in sentences that affirm an abnormal finding."""
    place: float
    """Of words of place in them."""

    def __call__(self, losses: TargetLosses) -> Tensor:
        """The weight of each token ``[m]``; 1 outside such sentences."""
        return 1 + (self.abnormal - 1) * losses.emphasised + (self.place - self.abnormal) * losses.placed


def sums_by_study(losses: TargetLosses, studies: int) -> Tensor:
    """Sum of each study's token losses ``[b]``."""
    return losses.values.new_zeros(studies).index_add(0, losses.report_of_token, losses.values)


def means_by_study(losses: TargetLosses, studies: int) -> Tensor:
    """Mean of each study's token losses ``[b]``."""
    return sums_by_study(losses, studies) / torch.bincount(losses.report_of_token, minlength=studies)


def reports_differ(batch: StudyBatch) -> list[bool]:
    """Whether each study's report differs from its partner's."""
    assert batch.partner is not None
    return [own != other for own, other in zip(batch.reports, batch.partner.reports, strict=True)]


def shuffle_hinge(batch: StudyBatch, own: TargetLosses, exchanged: TargetLosses, margin: float) -> Tensor:
    """Sum over studies of ``max(0, margin - (loss with the partner's films - loss with its own))``, a scalar.

    Studies whose partner has exactly the same report are left out.

    Args:
        batch: b studies with their partners.
        own: token losses with each study's own films.
        exchanged: token losses with the partner's films.
        margin: in nats a token.
    """
    studies = len(batch.study_ids)
    gaps = means_by_study(exchanged, studies) - means_by_study(own, studies)
    short = (margin - gaps).clamp(min=0)
    return (short * torch.tensor(reports_differ(batch), device=short.device)).sum()
