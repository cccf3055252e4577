"""One associative memory of stage 2: what may be recalled from its bank, what is, and the loss that teaches it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor

from ammrg.errors import SettingsError
from ammrg.findings import POSITIVE
from ammrg.memory.bank import MemoryBank, owners_mask
from ammrg.memory.candidates import Candidates, FaissSearch
from ammrg.memory.owners import Exclude
from ammrg.networks.association_loss import association_loss
from ammrg.networks.hopfield import HopfieldRetrieval
from ammrg.types import Retrieval, StudyBatch

CANDIDATES = 256
"""For each state and head, where retrieval is in two steps."""
Memories = Literal["own", "shuffled", "visual_off", "report_off", "off"]
"""What the language model reads in the memories' place: what the study recalled, what its partner, another patient's
study, recalled, or zeros for one memory or both. All but ``own`` are guards: do the memories matter?"""
SILENT: dict[Memories, tuple[str, ...]] = {
    "visual_off": ("visual",),
    "report_off": ("report",),
    "off": ("visual", "report"),
}


class AssociativeMemory(NamedTuple):
    """A memory bank with the retrieval that asks it."""

    bank: MemoryBank
    patterns: Tensor
    """float32 ``[n d]``: the bank's, on the network's device."""
    findings: Tensor
    """int64 ``[n]``: the finding of each region, as :attr:`MemoryBank.region_findings`, on the network's device."""
    retrieval: HopfieldRetrieval
    candidates: Candidates | None
    """The search for candidates, where retrieval is in two steps."""
    exclude: Exclude
    """Whose own patterns a study may not recall."""

    def may_recall(self, batch: StudyBatch, hidden_from: StudyBatch | None = None) -> Tensor | None:
        """Bool ``[b n]``; None for a batch whose studies own nothing of the bank.

        Args:
            batch: the b studies that ask.
            hidden_from: b studies that may not recall their own patterns either.
        """
        mask = owners_mask(self.bank, batch.study_ids, batch.subject_ids, self.exclude)
        if hidden_from is not None:
            mask = mask & owners_mask(self.bank, hidden_from.study_ids, hidden_from.subject_ids, self.exclude)
        return None if bool(mask.all()) else mask.to(self.patterns.device)

    def recall(self, queries: Tensor, batch: StudyBatch, k: int, hidden_from: StudyBatch | None = None) -> Retrieval:
        """What queries ``[b 14 q]`` of a batch recall, with the k strongest associations of each."""
        mask = self.may_recall(batch, hidden_from)
        return cast(Retrieval, self.retrieval(queries, self.patterns, mask, k=k, candidates=self.candidates))

    def associations(self, batch: StudyBatch, states: Tensor) -> tuple[Tensor, Tensor | None]:
        """All associations of states Q_f ``[b 14 q]``, in two steps where the retrieval is: to be measured, not
        trained.

        Returns:
            (associations ``[b 14 n]``, averaged over heads; bool ``[b n]``, False where a pattern is the study's own
            and has none, or None where all may be recalled).
        """
        with torch.no_grad():
            mask = self.may_recall(batch)
            return self.retrieval.associations(states, self.patterns, mask, self.candidates).mean(dim=2), mask

    def association_loss(self, batch: StudyBatch, states: Tensor) -> Tensor:
        """:func:`association_loss` of the queries of a batch's positive findings: query i should recall regions that
        were mined for finding i, of others (a study's own are masked as in the retrieval itself). In two steps it is
        over the candidates: a query that has none of its finding recalls none, and has no gradient.

        Args:
            batch: studies with labels; uncertain and blank findings are left out.
            states: Q_f ``[b 14 q]`` of the batch, as a prompt holds them.
        """
        study, finding, allowed, wanted = self._positives(batch)
        found = self.retrieval.associations(states[study, finding][:, None], self.patterns, allowed, self.candidates)[
            :, 0
        ]
        return association_loss(found, wanted)

    def associating(self, batch: StudyBatch) -> int:
        """How many queries of a batch :meth:`association_loss` is a mean over: known before its films are."""
        return int(self._positives(batch)[3].any(dim=1).sum())

    def _positives(self, batch: StudyBatch) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
        """Of a batch's m positive findings: study and finding int64 ``[m]``, which patterns the study may recall (bool
        ``[m n]``; None: all) and which of these were mined for that finding (bool ``[m n]``)."""
        study, finding = (batch.labels == POSITIVE).nonzero().to(self.patterns.device).unbind(dim=1)
        mask = self.may_recall(batch)
        allowed = None if mask is None else mask[study]
        wanted = self.findings == finding[:, None]
        return study, finding, allowed, wanted if allowed is None else wanted & allowed


def required_bank(bank: MemoryBank | None, switch: str) -> MemoryBank:
    """The bank of a memory that is on.

    Raises:
        SettingsError: none was given.
    """
    if bank is None:
        raise SettingsError(f"{switch} is on but no memory bank was given; build it, or switch {switch} off")
    return bank


def retrieval_for(bank: MemoryBank, width: int, settings: Mapping[str, Any]) -> HopfieldRetrieval:
    """A retrieval from a bank for states, and into tokens, of ``width``.

    Raises:
        SettingsError: settings that do not fit each other.
    """
    try:
        return HopfieldRetrieval(width, bank.width, width, **settings)
    except ValueError as error:
        raise SettingsError(f"hopfield: {error}") from error


def candidates_for(bank: MemoryBank, settings: Mapping[str, Any]) -> Candidates:
    """The search for candidates in a bank: ``candidates`` of them, the other settings are :class:`FaissSearch`'s."""
    further = dict(settings)
    count = further.pop("candidates", CANDIDATES)
    return Candidates(FaissSearch(bank.patterns, **further), count)
