"""Fingerprints: short content hashes that travel with every artifact."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor  # imported where tensors are made: commands that only read files start without it


def tensors_fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """sha256 (first 16 hex digits) over names, dtypes, shapes and bytes, independent of device and order."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def json_fingerprint(value: Any) -> str:
    """sha256 (first 16 hex digits) of the canonical JSON form of a value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


def id_codes(ids: Iterable[str]) -> Tensor:
    """Each different id as 64 bits of its blake2b hash: int64 ``[n]``, ascending; an empty id, of nobody known, is left
    out. Two sets of ids meet where their codes do."""
    import torch

    codes = {int.from_bytes(hashlib.blake2b(one.encode(), digest_size=8).digest(), signed=True) for one in ids if one}
    return torch.tensor(sorted(codes), dtype=torch.int64)


def file_fingerprint(path: Path) -> str:
    """sha256 (first 16 hex digits) of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
