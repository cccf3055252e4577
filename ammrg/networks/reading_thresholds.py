"""The thresholds with which studies are read: the network's own, or those of another operating point."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class ReadingThresholds(NamedTuple):
    """float32 ``[14]``, the same for all studies, or ``[b 14]``, each with its own."""

    found: Tensor
    """Probabilities above which a finding counts as found: its places and what it recalled are listed, and the language
    model is told it by tokens, if by any (``finding_tokens``)."""
    named: Tensor
    """Probabilities above which the instruction names it, if any (``{findings}``)."""
