"""An associative memory of stage 2: a memory bank, the retrieval from it, and the loss that trains the retrieval."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor

from ammrg.errors import SettingsError
from ammrg.memory.bank import MemoryBank, owners_mask
from ammrg.memory.candidates import Candidates, FaissSearch
from ammrg.memory.owners import Exclude
from ammrg.networks.association_loss import association_loss
from ammrg.networks.hopfield import HopfieldRetrieval
from ammrg.networks.hub_correction import HubCorrection
from ammrg.networks.recall_targets import RecallTargets, are_alike, finding_sides, in_same_place
from ammrg.types import Retrieval, StudyBatch

CANDIDATES = 256
"""Default number of candidates for each state and head, where retrieval is in two steps."""
Memories = Literal["own", "shuffled", "visual_off", "report_off", "off"]
"""What the language model reads from the memories: what the study itself recalls (``own``), what its partner, a study
of another patient, recalls (``shuffled``), or zeros for one memory or all. All except ``own`` are guards, which test
whether the memories matter."""


def is_silent(name: str, memories: Memories) -> bool:
    """Tell whether the tokens of the memory ``name`` are replaced by zeros."""
    return memories in ("off", f"{name}_off")


class AssociativeMemory(NamedTuple):
    """A memory bank with the retrieval from it."""

    bank: MemoryBank
    patterns: Tensor
    """float32 ``[n d]``: the bank's patterns, on the network's device."""
    findings: Tensor
    """int64 ``[n]``: :attr:`MemoryBank.region_findings` of the bank, on the network's device."""
    retrieval: HopfieldRetrieval
    candidates: Candidates | None
    """The search for candidates; None where every pattern is associated."""
    exclude: Exclude
    """Which patterns a study may not recall because it, or its patient, owns them."""
    hubs: HubCorrection | None = None
    """Makes room for patterns that few studies recall; None: associations are as they are."""

    def may_recall(self, batch: StudyBatch | RecallTargets, hidden_from: StudyBatch | None = None) -> Tensor | None:
        """Return the patterns that each study may recall: bool ``[b n]``, or None where all may recall all.

        Args:
            batch: b studies.
            hidden_from: b further studies; row i may not recall the patterns of study i of these either.
        """
        mask = owners_mask(self.bank, batch.study_ids, batch.subject_ids, self.exclude)
        if hidden_from is not None:
            mask = mask & owners_mask(self.bank, hidden_from.study_ids, hidden_from.subject_ids, self.exclude)
        return None if bool(mask.all()) else mask.to(self.patterns.device)

    def recall(self, queries: Tensor, batch: StudyBatch, k: int, hidden_from: StudyBatch | None = None) -> Retrieval:
        """Recall for queries ``[b 14 q]`` of a batch, with the k strongest associations of each query."""
        mask = self.may_recall(batch, hidden_from)
        found = self.retrieval(queries, self.patterns, mask, k=k, candidates=self.candidates, bias=self.bias)
        return cast(Retrieval, found)

    @property
    def bias(self) -> Tensor | None:
        """What :attr:`hubs` add to the scores of each state, head and pattern, ``[14 h n]``; None without them."""
        return None if self.hubs is None else self.hubs.bias

    def observe(self, batch: StudyBatch, states: Tensor) -> None:
        """Let :attr:`hubs` see what training studies with states Q_f ``[b 14 q]`` would recall without them."""
        if self.hubs is not None:
            with torch.no_grad():
                mask = self.may_recall(batch)
                self.hubs.observe(self.retrieval.associations(states, self.patterns, mask, self.candidates))

    def associations(self, batch: StudyBatch, states: Tensor) -> tuple[Tensor, Tensor | None]:
        """Compute all associations of states Q_f ``[b 14 q]``, without gradient, to measure them.

        With candidates, associations with all other patterns are 0.

        Returns:
            (associations ``[b 14 n]``, averaged over heads; the mask of :meth:`may_recall`).
        """
        with torch.no_grad():
            mask = self.may_recall(batch)
            found = self.retrieval.associations(states, self.patterns, mask, self.candidates, self.bias)
            return found.mean(dim=2), mask

    def association_loss(self, targets: RecallTargets, states: Tensor, own: bool = False) -> Tensor:
        """Compute :func:`association_loss`: a contrastive loss that teaches the memory what to recall.

        Regions are recalled by the queries of positive findings: query i should recall regions that were mined for
        finding i and lie where the report puts it (:func:`ammrg.networks.recall_targets.in_same_place`). Reports are
        recalled by studies, with the associations averaged over their queries: a study should recall reports that are
        alike (:func:`ammrg.networks.recall_targets.are_alike`) its own.

        With candidates, the loss is over these: a query without a candidate to recall has no gradient. :attr:`hubs` are
        left out: the scores would learn to undo what they do.

        Args:
            targets: of b studies.
            states: their state patterns ``[b 14 q]``
                (:attr:`ammrg.networks.visual_prompt.VisualPrompt.states`).
            own: what should be recalled are the patient's own patterns among all others, which is harder; otherwise
                these are masked, as in the retrieval.
        """
        study, finding, allowed, wanted = self._wanted(targets, own)
        asking = states if finding is None else states[study, finding][:, None]
        found = self.retrieval.mass(asking, self.patterns, wanted, allowed, self.candidates)
        return association_loss(found.mean(dim=(1, 2)), wanted.any(dim=1))

    def first_recalled(self, targets: RecallTargets, states: Tensor) -> FirstRecalled:
        """Judge what queries of positive findings, or studies, recall first, as :meth:`association_loss` would have it.

        Args:
            targets: of b studies.
            states: their state patterns ``[b 14 q]``.
        """
        study, finding, allowed, wanted = self._wanted(targets, own=False)
        asking, bias = states, self.bias
        if finding is not None:
            asking, bias = states[study, finding][:, None], None if bias is None else bias[finding][:, None]
        found = self.retrieval.associations(asking, self.patterns, allowed, self.candidates, bias)
        right = wanted.gather(1, found.mean(dim=(1, 2)).argmax(dim=1, keepdim=True))[:, 0]
        among = torch.ones_like(wanted) if finding is None else self._mined_for(finding)
        if allowed is not None:
            among = among & allowed
        chance = wanted.sum(dim=1) / among.sum(dim=1).clamp(min=1)
        judged = wanted.any(dim=1)
        return FirstRecalled(study[judged], right[judged], chance[judged])

    def associating(self, targets: RecallTargets, own: bool = False) -> int:
        """Count the queries or studies that :meth:`association_loss` averages over."""
        return int(self._wanted(targets, own).patterns.any(dim=1).sum())

    def _wanted(self, targets: RecallTargets, own: bool) -> Wanted:
        device = self.patterns.device
        study, finding = torch.arange(len(targets.study_ids), device=device), None
        if self.bank.meta.kind == "regions":
            study, finding = targets.positive.nonzero().to(device).unbind(dim=1)
        if own:
            theirs = ~owners_mask(self.bank, targets.study_ids, targets.subject_ids, "shared").to(device)[study]
            return Wanted(study, finding, None, theirs if finding is None else theirs & self._mined_for(finding))
        mask = self.may_recall(targets)
        allowed = None if mask is None else mask[study]
        if finding is None:
            alike = are_alike(targets.sides, stored_sides(self.bank)).to(device)
        else:
            places = targets.places.to(device)[study, finding]
            alike = self._mined_for(finding) & in_same_place(places, self.bank.places.to(device))
        return Wanted(study, finding, allowed, alike if allowed is None else alike & allowed)

    def _mined_for(self, finding: Tensor) -> Tensor:
        return self.findings == finding[:, None]


class FirstRecalled(NamedTuple):
    """What m queries of positive findings, or m studies, recall first; those with nothing to recall are left out."""

    study: Tensor
    """int64 ``[m]``, the row of the study."""
    right: Tensor
    """bool ``[m]``: whether it should be recalled."""
    chance: Tensor
    """float ``[m]``: the probability of that for a random region of the finding, or a random report."""


class Wanted(NamedTuple):
    """What m queries of positive findings, or m studies, should recall."""

    study: Tensor
    """int64 ``[m]``."""
    finding: Tensor | None
    """int64 ``[m]``, the query of the study that asks; None: all its queries."""
    allowed: Tensor | None
    """bool ``[m n]``, the patterns that may be recalled; None: all."""
    patterns: Tensor
    """bool ``[m n]``, those of them that should be."""


@lru_cache(maxsize=4)
def stored_sides(bank: MemoryBank) -> Tensor:
    """:func:`ammrg.networks.recall_targets.finding_sides` of a bank's reports; read once for each bank."""
    return finding_sides(bank.texts)


def required_bank(bank: MemoryBank | None, switch: str) -> MemoryBank:
    """Return the bank of a memory that is switched on.

    Raises:
        SettingsError: no bank was given.
    """
    if bank is None:
        raise SettingsError(f"{switch} is on but no memory bank was given; build it, or switch {switch} off")
    return bank


def retrieval_for(bank: MemoryBank, width: int, settings: Mapping[str, Any]) -> HopfieldRetrieval:
    """Build a retrieval from a bank whose states and retrieved tokens have the given width.

    Raises:
        SettingsError: settings do not fit each other.
    """
    try:
        return HopfieldRetrieval(width, bank.width, width, **settings)
    except ValueError as error:
        raise SettingsError(f"hopfield: {error}") from error


def candidates_for(bank: MemoryBank, settings: Mapping[str, Any]) -> Candidates:
    """Build the search for candidates in a bank.

    Args:
        bank: the bank.
        settings: ``candidates``, how many (default :data:`CANDIDATES`); the others are arguments of
            :class:`FaissSearch`.
    """
    further = dict(settings)
    count = further.pop("candidates", CANDIDATES)
    return Candidates(FaissSearch(bank.patterns, **further), count)
