"""The memory bank: stored patterns and where each one comes from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from ammrg.errors import MemoryBankError
from ammrg.findings import NUM_FINDINGS
from ammrg.fingerprints import json_fingerprint, tensors_fingerprint
from ammrg.memory.owners import Exclude, OwnerIndex

FORMAT = "ammrg-memory-bank"
FORMAT_VERSION = 2
PLACE_ELEMENTS = 5
"""Two sides and three levels."""
NO_PLACES = (
    "its regions have no places (an earlier version wrote it), so they are compared by finding alone, and none counts "
    "as recalled rightly; make memories builds them anew"
)
BankKind = Literal["regions", "reports", "knowledge"]
"""``knowledge`` comes from no study: for instance texts that define the findings."""


@dataclasses.dataclass(frozen=True)
class BankEdit:
    """One change that was made to a bank after it was built. It names no id, because a withdrawn id must not stay."""

    before: str
    """Fingerprint of the bank before the change."""
    what: str
    """The change in words and counts."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BankMeta:
    """The kind of a bank, how it was made, and the encoder and data that it belongs to."""

    kind: BankKind
    version: int = FORMAT_VERSION
    encoder_fingerprint: str
    """Fingerprint of the encoder that made the patterns: the stage-1 checkpoint (regions) or a text encoder."""
    data_fingerprint: str
    """Fingerprint of the prepared data set that the patterns were made from."""
    split: str
    """The split that all patterns come from: ``train``."""
    seed: int
    selection: str
    """How patterns were chosen, e.g. ``coreset``, ``random``, ``proportional``, ``balanced``."""
    restricted: bool
    """True where ids, texts and crops must not leave the machine (every source except the phantom)."""
    edits: tuple[BankEdit, ...] = ()
    """Changes since the bank was built, oldest first."""


@dataclasses.dataclass(frozen=True, eq=False)
class MemoryBank:
    """n stored patterns with their provenance.

    A region pattern has a finding, a box on a film, a place, a score and the sentences of its report that affirm
    the finding; a report pattern has its text, and so has a pattern of knowledge, which has no owner. A disease
    query that is stored as a pattern has no owner (``()``), view -1 and a box of NaN. A pattern merged from
    duplicates has all their owners. Banks of earlier versions have neither places nor sentences of regions.

    Raises:
        MemoryBankError: fields have different lengths or another dtype or shape, or a finding is out of range.
    """

    patterns: Tensor
    """float32 ``[n d]``, not normalised."""
    study_ids: tuple[tuple[str, ...], ...]
    """Length n: the studies that own each pattern (from which it was made)."""
    subject_ids: tuple[tuple[str, ...], ...]
    """Length n: the patients of those studies, in the same order."""
    findings: Tensor
    """int64 ``[n]``: index into :data:`ammrg.findings.FINDINGS`; -1 = none."""
    boxes: Tensor
    """float32 ``[n 4]``: x0 y0 x1 y1 relative to the film; NaN = none."""
    views: Tensor
    """int64 ``[n]``: index of the film in the (first) owning study; -1 = none."""
    texts: tuple[str, ...]
    """Length n: the report's text, or the sentences of a region's finding; empty = none."""
    scores: Tensor
    """float32 ``[n]`` in [0, 1]: confidence in a region (:attr:`ammrg.memory.regions.Region.score`); 1 otherwise."""
    meta: BankMeta
    places: Tensor = dataclasses.field(default_factory=lambda: torch.empty(0, PLACE_ELEMENTS, dtype=torch.bool))
    """bool ``[n 5]``: the place of each region, as left, right, upper, mid, lower; nothing = unknown."""

    def __post_init__(self) -> None:
        if self.places.numel() == 0:
            object.__setattr__(self, "places", torch.zeros(len(self.patterns), PLACE_ELEMENTS, dtype=torch.bool))
        if self.patterns.dim() != 2:
            raise MemoryBankError(f"memory bank: patterns must be a matrix [n d], not {list(self.patterns.shape)}")
        n = len(self.patterns)
        expected: dict[str, tuple[Tensor, torch.dtype, tuple[int, ...]]] = {
            "patterns": (self.patterns, torch.float32, (n, self.patterns.shape[1])),
            "findings": (self.findings, torch.int64, (n,)),
            "boxes": (self.boxes, torch.float32, (n, 4)),
            "views": (self.views, torch.int64, (n,)),
            "scores": (self.scores, torch.float32, (n,)),
            "places": (self.places, torch.bool, (n, PLACE_ELEMENTS)),
        }
        for name, (tensor, dtype, shape) in expected.items():
            if tensor.dtype != dtype or tuple(tensor.shape) != shape:
                raise MemoryBankError(
                    f"memory bank: {name} must be {dtype} {list(shape)}, not {tensor.dtype} {list(tensor.shape)}"
                )
        for name, length in (
            ("study_ids", len(self.study_ids)),
            ("subject_ids", len(self.subject_ids)),
            ("texts", len(self.texts)),
        ):
            if length != n:
                raise MemoryBankError(f"memory bank: {n} patterns, but {length} {name}")
        for row, (studies, subjects) in enumerate(zip(self.study_ids, self.subject_ids, strict=True)):
            if len(studies) != len(subjects):
                raise MemoryBankError(
                    f"memory bank: pattern {row} has {len(studies)} study_ids but {len(subjects)} subject_ids; "
                    "each owning study needs its patient, in the same order"
                )
        outside = (self.findings < -1) | (self.findings >= NUM_FINDINGS)
        if outside.any():
            row = int(outside.nonzero()[0])
            raise MemoryBankError(
                f"memory bank: findings[{row}] is {int(self.findings[row])}; it must be -1 or 0..{NUM_FINDINGS - 1}"
            )

    def __len__(self) -> int:
        return len(self.patterns)

    @property
    def width(self) -> int:
        """d, the width of the patterns."""
        return self.patterns.shape[1]

    @property
    def lacks_places(self) -> bool:
        """Whether these are regions without any place, as earlier versions wrote them (:data:`NO_PLACES`)."""
        return self.meta.kind == "regions" and not self.places.any()

    @cached_property
    def owner_index(self) -> OwnerIndex:
        """The owners as an index that makes masks quickly."""
        return OwnerIndex(self.study_ids, self.subject_ids)

    @cached_property
    def is_owned(self) -> Tensor:
        """Which patterns have an owner, bool ``[n]``: False for a disease query."""
        return torch.tensor([bool(studies) for studies in self.study_ids], dtype=torch.bool)

    @cached_property
    def region_findings(self) -> Tensor:
        """int64 ``[n]``: the finding of each region; -1 for disease queries (which have no owner) and reports."""
        return torch.where(self.is_owned, self.findings, -1)

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of patterns, provenance and meta; a stage-2 checkpoint records it."""
        provenance = [self.study_ids, self.subject_ids, self.texts, dataclasses.asdict(self.meta)]
        return json_fingerprint([tensors_fingerprint(self.tensors()), provenance])

    def descends_from(self, fingerprint: str) -> bool:
        """Tell whether this bank has the given fingerprint or was edited from a bank that had it."""
        return fingerprint in (self.fingerprint, *(edit.before for edit in self.meta.edits))

    def take(self, rows: Tensor) -> MemoryBank:
        """Return a bank of the given rows (int64 ``[m]``), in their order."""
        order = rows.tolist()
        return MemoryBank(
            study_ids=tuple(self.study_ids[i] for i in order),
            subject_ids=tuple(self.subject_ids[i] for i in order),
            texts=tuple(self.texts[i] for i in order),
            meta=self.meta,
            **{name: tensor[rows] for name, tensor in self.tensors().items()},
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return the fields that are tensors, by name."""
        return {
            "patterns": self.patterns,
            "findings": self.findings,
            "boxes": self.boxes,
            "views": self.views,
            "scores": self.scores,
            # left out without any place: the files and fingerprints are then those of earlier versions
            **({"places": self.places} if self.places.any() else {}),
        }


def owners_mask(bank: MemoryBank, study_ids: Sequence[str], subject_ids: Sequence[str], exclude: Exclude) -> Tensor:
    """Return the patterns that each of b studies may retrieve: bool ``[b n]`` on the CPU, True = may be retrieved.

    See :meth:`ammrg.memory.owners.OwnerIndex.mask`.
    """
    return bank.owner_index.mask(study_ids, subject_ids, exclude)
