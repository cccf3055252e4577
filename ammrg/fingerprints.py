"""Fingerprints: short hashes of content that every artifact carries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor  # torch is imported inside the functions: commands that only read files start without it


def tensors_fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """Return the sha256 (first 16 hex digits) of names, dtypes, shapes and bytes, whatever their device and order."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def json_fingerprint(value: Any) -> str:
    """Return the sha256 (first 16 hex digits) of a value's canonical JSON form."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


def id_codes(ids: Iterable[str]) -> Tensor:
    """Hash ids to 64-bit codes, so that two sets of ids can be compared without their names.

    Args:
        ids: any strings; repeated ids count once, and empty ones (unknown) are left out.

    Returns:
        int64 ``[n]``, ascending: the first 64 bits of each id's blake2b hash.
    """
    import torch

    codes = {int.from_bytes(hashlib.blake2b(one.encode(), digest_size=8).digest(), signed=True) for one in ids if one}
    return torch.tensor(sorted(codes), dtype=torch.int64)


def bytes_fingerprint(data: bytes) -> str:
    """Return the sha256 (first 16 hex digits) of bytes: of a file's content, the same as :func:`file_fingerprint`."""
    return hashlib.sha256(data).hexdigest()[:16]


def file_fingerprint(path: Path) -> str:
    """Return the sha256 (first 16 hex digits) of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
