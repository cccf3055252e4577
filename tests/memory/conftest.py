from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch

from ammrg.memory.bank import BankMeta, MemoryBank

Owners = Sequence[Sequence[tuple[str, str]]]


def make_bank(owners: Owners, texts: Sequence[str] | None = None, width: int = 4, **meta: object) -> MemoryBank:
    n = len(owners)
    settings = {
        "kind": "regions" if texts is None else "reports",
        "encoder_fingerprint": "e" * 16,
        "data_fingerprint": "d" * 16,
        "split": "train",
        "seed": 0,
        "selection": "coreset",
        "restricted": False,
    } | meta
    return MemoryBank(
        patterns=torch.randn(n, width, generator=torch.Generator().manual_seed(n)),
        study_ids=tuple(tuple(study for study, _ in row) for row in owners),
        subject_ids=tuple(tuple(subject for _, subject in row) for row in owners),
        findings=torch.arange(n) % 14 if texts is None else torch.full((n,), -1),
        boxes=torch.tensor([0.1, 0.2, 0.3, 0.4]).repeat(n, 1) if texts is None else torch.full((n, 4), torch.nan),
        views=torch.zeros(n, dtype=torch.int64),
        texts=tuple(texts) if texts is not None else ("",) * n,
        scores=torch.ones(n),
        meta=BankMeta(**settings),  # type: ignore[arg-type]
    )


@pytest.fixture
def bank_of() -> Callable[..., MemoryBank]:
    """A bank whose row i is owned by the (study, patient) pairs of ``owners[i]``."""
    return make_bank
