"""The sidecar of a memory bank: the JSON file beside its tensors, its fields, and the bank made from it."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from torch import Tensor

from ammrg.errors import MemoryBankError
from ammrg.findings import FINDINGS
from ammrg.memory.bank import FORMAT, FORMAT_VERSION, BankEdit, BankKind, BankMeta, MemoryBank

FINGERPRINT = re.compile("[0-9a-f]{16}")
_FIELDS = {
    "tensors": str,
    "count": int,
    "width": int,
    "finding_names": list,
    "study_ids": list,
    "subject_ids": list,
    "texts": list,
    "kind": str,
    "encoder_fingerprint": str,
    "data_fingerprint": str,
    "split": str,
    "seed": int,
    "selection": str,
    "restricted": bool,
    "edits": list,
}


def sidecar_of(bank: MemoryBank, tensors: str) -> dict[str, Any]:
    """Collect the content of a bank's JSON file.

    Args:
        bank: the bank.
        tensors: fingerprint of its file of tensors.
    """
    return {
        "format": FORMAT,
        **dataclasses.asdict(bank.meta),
        "count": len(bank),
        "width": bank.width,
        "tensors": tensors,
        "finding_names": FINDINGS,
        "study_ids": bank.study_ids,
        "subject_ids": bank.subject_ids,
        "texts": bank.texts,
    }


def read_sidecar(path: Path) -> dict[str, Any]:
    """Read a sidecar and check that every field is there and has its type.

    Raises:
        MemoryBankError: the file is missing or not a bank's sidecar, the format version is another, a field is missing
            or wrong, or the list of findings is another.
    """
    if not path.is_file():
        raise MemoryBankError(f"{path}: no memory bank there; build it first (make memories), or check the path")
    try:
        sidecar = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise MemoryBankError(f"{path}: not readable as JSON ({error}); build the memory again") from error
    if not isinstance(sidecar, dict) or sidecar.get("format") != FORMAT:
        found = sidecar.get("format") if isinstance(sidecar, dict) else type(sidecar).__name__
        raise MemoryBankError(f"{path}: format is {found!r}, not {FORMAT!r}: this is not a memory bank")
    if sidecar.get("version") != FORMAT_VERSION:
        raise MemoryBankError(
            f"{path}: format version {sidecar.get('version')}, but this code reads version {FORMAT_VERSION}; "
            "build the memory again, or use the release that wrote it"
        )
    for field, kind in _FIELDS.items():
        if not isinstance(sidecar.get(field), kind):
            raise MemoryBankError(
                f"{path}: field {field!r} must be {kind.__name__}, found {type(sidecar.get(field)).__name__}; "
                "build the memory again"
            )
    if sidecar["kind"] not in get_args(BankKind):
        raise MemoryBankError(f"{path}: kind is {sidecar['kind']!r}, not one of {', '.join(get_args(BankKind))}")
    if not FINGERPRINT.fullmatch(sidecar["tensors"]):
        raise MemoryBankError(f"{path}: tensors is {sidecar['tensors']!r}, not 16 hex digits; build the memory again")
    if sidecar["finding_names"] != list(FINDINGS):
        raise MemoryBankError(
            f"{path}: finding_names are {', '.join(map(str, sidecar['finding_names']))}, but this code's findings are "
            f"{', '.join(FINDINGS)}: build the memory again"
        )
    return sidecar


def bank_of(sidecar: dict[str, Any], tensors: Mapping[str, Tensor]) -> MemoryBank:
    """Make the bank from a checked sidecar and its tensors.

    Raises:
        MemoryBankError, TypeError: a field does not have the form that a bank needs.
    """
    return MemoryBank(
        study_ids=_owners(sidecar, "study_ids"),
        subject_ids=_owners(sidecar, "subject_ids"),
        texts=_texts(sidecar),
        meta=_meta(sidecar),
        **tensors,
    )


def _meta(sidecar: dict[str, Any]) -> BankMeta:
    fields = {field.name: sidecar[field.name] for field in dataclasses.fields(BankMeta)}
    edits = tuple(BankEdit(**edit) for edit in fields["edits"])
    if not all(isinstance(word, str) for edit in edits for word in dataclasses.astuple(edit)):
        raise MemoryBankError("edits must be a list of {before: string, what: string}")
    return BankMeta(**fields | {"edits": edits})


def _owners(sidecar: dict[str, Any], field: str) -> tuple[tuple[str, ...], ...]:
    rows = sidecar[field]
    if not all(isinstance(ids, list) and all(isinstance(name, str) for name in ids) for ids in rows):
        raise MemoryBankError(f"{field} must be a list of lists of strings")
    return tuple(tuple(ids) for ids in rows)


def _texts(sidecar: dict[str, Any]) -> tuple[str, ...]:
    if not all(isinstance(text, str) for text in sidecar["texts"]):
        raise MemoryBankError("texts must be a list of strings")
    return tuple(sidecar["texts"])
