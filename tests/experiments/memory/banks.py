"""Small banks, written as the writers write them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from ammrg.memory.bank import BankMeta, MemoryBank
from ammrg.memory.bank_files import load, save
from datamodules.prepared import PreparedFolder
from tests.unchecked import UNCHECKED

WIDTH = 8


def make(kind: str, studies: list[tuple[str, str]], data: str = "d" * 16, seed: int = 0) -> MemoryBank:
    """Two regions a study after 14 disease queries, or one report a study."""
    generator = torch.Generator().manual_seed(seed)
    queries = torch.randn(14, WIDTH, generator=torch.Generator().manual_seed(99))
    owners = [owner for owner in studies for _ in range(2)] if kind == "regions" else studies
    unowned, n = (14, len(owners)) if kind == "regions" else (0, len(owners))
    findings = torch.cat([torch.arange(unowned), torch.arange(n) % 3]) if unowned else torch.full((n,), -1)
    texts = tuple(f"There is a pleural effusion of {study}." for study, _ in owners)
    return MemoryBank(
        patterns=torch.cat([queries[:unowned], torch.randn(n, WIDTH, generator=generator)]),
        study_ids=((),) * unowned + tuple((study,) for study, _ in owners),
        subject_ids=((),) * unowned + tuple((patient,) for _, patient in owners),
        findings=findings,
        boxes=torch.full((unowned + n, 4), torch.nan),
        views=torch.full((unowned + n,), -1),
        texts=texts if kind == "reports" else ("",) * (unowned + n),
        scores=torch.ones(unowned + n),
        meta=BankMeta(
            kind="regions" if kind == "regions" else "reports",
            encoder_fingerprint="e" * 16,
            data_fingerprint=data,
            split="train",
            seed=0,
            selection="coreset",
            restricted=False,
        ),
    )


STUDIES = [("s1", "p1"), ("s2", "p1"), ("s3", "p2"), ("s4", "p3")]


def meta_of(path: Path, prepared: Path) -> BankMeta:
    """The bank's meta as if it had been built from these data."""
    return dataclasses.replace(
        load(path, UNCHECKED).meta, data_fingerprint=PreparedFolder(prepared).card["fingerprint"]
    )


def memories_with_pages(folder: Path) -> Path:
    """Both banks of a run and the pages of its mining, as the writers leave them."""
    for kind in ("regions", "reports"):
        save(make(kind, STUDIES), folder / kind)
    (folder / "regions_report").mkdir()
    (folder / "regions_report" / "edema.png").write_bytes(b"films of s1")
    (folder / "regions_report" / "report.json").write_text("{}")
    (folder / "config.yaml").write_text("seed_everything: 0")
    return folder
