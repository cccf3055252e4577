"""Checks of memory banks: no evaluation study owns a pattern, and every field is within its range."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ammrg.errors import MemoryBankError
from ammrg.findings import NUM_FINDINGS
from ammrg.memory.bank import MemoryBank
from ammrg.memory.held_out import HeldOut

NAMED_IN_ERRORS = 5
"""Most ids that an error names; the others are counted."""


def check_leaks(bank: MemoryBank, held_out: HeldOut, *, where: str = "memory bank") -> None:
    """Refuse a bank that holds a pattern of an evaluation study or its patient, or patterns without owners.

    Args:
        bank: the bank; every owner of a merged pattern counts.
        held_out: the validation and test studies and their patients.
        where: what to call the bank in the message.

    Raises:
        MemoryBankError: the message names the first ids and says how many there are.
    """
    for noun, owned, forbidden in (
        ("studies", bank.study_ids, held_out.studies),
        ("patients", bank.subject_ids, held_out.subjects),
    ):
        leaked = sorted(({name for ids in owned for name in ids} & forbidden) - {""})
        if leaked:
            raise MemoryBankError(
                f"{where}: holds patterns of {len(leaked)} {noun} of the validation or test split: "
                f"{first_names(leaked)}. A memory may only hold training studies: build it again from the training "
                "split. If the split was changed, first prepare the data again"
            )
    nobodys = len(bank) - int(bank.is_owned.sum())
    if nobodys > {"regions": NUM_FINDINGS, "reports": 0, "knowledge": len(bank)}[bank.meta.kind]:
        raise MemoryBankError(
            f"{where}: {nobodys} of its {len(bank)} patterns have no owner (their ids were left out), so nobody can "
            "tell whether evaluation studies are among them; use the bank of the run that it was exported from"
        )


def check_content(bank: MemoryBank, where: str) -> None:
    """Refuse a bank whose patterns cannot be used for retrieval, or that breaks a rule of its kind.

    Args:
        bank: the bank.
        where: what to call it in the message.

    Raises:
        MemoryBankError: the split is not ``train``, there is no pattern, or values are not finite or out of range; the
            message names the first rows.
    """
    if bank.meta.split != "train":
        raise MemoryBankError(
            f"{where}: its patterns come from the split {bank.meta.split!r}; a memory may only hold training studies: "
            "build it again from the training split"
        )
    if len(bank) == 0:
        raise MemoryBankError(
            f"{where}: an empty memory bank (0 patterns): nothing was kept. Check that the split has positive studies "
            "and that stage 1 predicts them above their thresholds"
        )
    broken = (~bank.patterns.isfinite().all(dim=1)).nonzero().flatten().tolist()
    if broken:
        first = first_names(map(str, broken))
        raise MemoryBankError(
            f"{where}: {len(broken)} of {len(bank)} patterns hold NaN or infinity (rows {first}). "
            "The encoder that made them is broken: train it again, then build the memory again"
        )
    if bank.width < 2:
        raise MemoryBankError(
            f"{where}: patterns of width {bank.width}; layer normalisation makes them zero. Retrieval needs a width "
            "of at least 2: build the memory again with another encoder"
        )
    for rule, allowed in _rules(bank).items():
        if not allowed.all():
            rows = (~allowed).nonzero().flatten().tolist()
            raise MemoryBankError(
                f"{where}: {rule}, but not in {len(rows)} of {len(bank)} patterns "
                f"(rows {first_names(map(str, rows))}); build the memory again"
            )


def _rules(bank: MemoryBank) -> dict[str, Tensor]:
    """Map each rule for a bank of its kind, in words, to the patterns that keep it, bool ``[n]``."""
    boxes = bank.boxes
    on_film = ((boxes >= 0) & (boxes <= 1)).all(dim=1) & (boxes[:, :2] <= boxes[:, 2:]).all(dim=1)
    has_text = torch.tensor([bool(text) for text in bank.texts])
    rules = {
        "scores lie in [0, 1]": (bank.scores >= 0) & (bank.scores <= 1),  # False for NaN
        "views count from 0, or are -1": bank.views >= -1,
        "boxes are x0 <= x1, y0 <= y1 in [0, 1], or all NaN": on_film | boxes.isnan().all(dim=1),
        "owning studies have an id": torch.tensor(["" not in studies for studies in bank.study_ids]),
    }
    if bank.meta.kind == "regions":
        rules |= {
            "a region or a disease query has a finding": bank.findings >= 0,
        }
        return rules
    bare = not bool((has_text | bank.is_owned).any())  # exported without identities
    if bank.meta.kind == "reports":
        rules |= {
            "a report has a text": has_text | bare,
            "a report has no finding of its own": bank.findings == -1,
            "a report has an owner": bank.is_owned | bare,
        }
    else:
        rules |= {
            "a piece of knowledge has a text": has_text | bare,
            "a piece of knowledge has no owner": ~bank.is_owned,
        }
    return rules


def first_names(ids: Iterable[str]) -> str:
    """List the first ids and say how many more there are."""
    names = list(ids)
    more = len(names) - NAMED_IN_ERRORS
    return ", ".join(names[:NAMED_IN_ERRORS]) + (f" and {more} more" if more > 0 else "")
