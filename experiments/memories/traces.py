"""Traces of withdrawn studies and patients: what is still found of them in a bank's files."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import torch

from ammrg.memory.bank import MemoryBank
from ammrg.memory.bank_files import bank_paths


class Traces(NamedTuple):
    """What was found of withdrawn studies in a bank's files."""

    ids: int
    """Number of withdrawn studies and patients whose id is still anywhere in the sidecar."""
    patterns: int
    """Number of patterns, compared byte for byte, that no remaining study accounts for."""
    texts: int
    """Number of report texts that no remaining study accounts for."""
    same_fingerprint: bool
    """Whether the bank still has the fingerprint that it had before."""
    mentions: tuple[int, ...]
    """Rows of other studies whose text contains a withdrawn id; a short id may be a mere number there."""

    @property
    def is_gone(self) -> bool:
        """Whether nothing that only they owned is left; mentions do not count."""
        return not (self.ids or self.patterns or self.texts or self.same_fingerprint)


def find_traces(
    before: MemoryBank, after: MemoryBank, path: Path, studies: Collection[str], patients: Collection[str]
) -> Traces:
    """Search a bank, as it was read again from its files, and its sidecar for withdrawn studies and patients.

    Args:
        before: the bank before the withdrawal.
        after: the bank as it was read again.
        path: where ``after`` was read.
        studies: ids of all withdrawn studies, those of the withdrawn patients included.
        patients: ids of the withdrawn patients.
    """
    sidecar = json.loads(bank_paths(path)[1].read_text(encoding="utf-8"))
    gone = set(studies)
    named_studies = set(_strings({key: value for key, value in sidecar.items() if key != "subject_ids"}))
    named_patients = set(_strings({key: value for key, value in sidecar.items() if key != "study_ids"}))
    may_stay = [row for row, owners in enumerate(before.study_ids) if not owners or set(owners) - gone]
    expected = before.take(torch.tensor(may_stay, dtype=torch.int64))
    # A region that others own too stays, but not the sentences of its first owner.
    blanked = [bool(owners) and owners[0] in gone for owners in expected.study_ids]
    wanted = [
        "" if lost and before.meta.kind == "regions" else t for lost, t in zip(blanked, expected.texts, strict=True)
    ]
    patterns = Counter(_rows(after)) - Counter(_rows(expected))
    texts = Counter(after.texts) - Counter(wanted)
    # An id counts only as a whole word: 51000 does not mention 5100.
    mention = re.compile(rf"(?<![^\W_])({'|'.join(map(re.escape, sorted(gone | set(patients))))})(?![^\W_])")
    return Traces(
        ids=len(gone & named_studies) + len(set(patients) & named_patients),
        patterns=patterns.total(),
        texts=texts.total(),
        same_fingerprint=before.fingerprint == after.fingerprint,
        mentions=tuple(row for row, text in enumerate(after.texts) if mention.search(text)),
    )


def studies_of(bank: MemoryBank, patients: Collection[str]) -> set[str]:
    """Ids of the studies that these patients have in a bank."""
    owners = zip(bank.study_ids, bank.subject_ids, strict=True)
    return {study for row in owners for study, subject in zip(*row, strict=True) if subject in set(patients)}


def _rows(bank: MemoryBank) -> list[bytes]:
    return [row.tobytes() for row in bank.patterns.numpy()]


def _strings(value: object) -> list[str]:
    """All strings in a JSON value, without the keys of its objects."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for part in value.values() for text in _strings(part)]
    if isinstance(value, list):
        return [text for part in value for text in _strings(part)]
    return []
