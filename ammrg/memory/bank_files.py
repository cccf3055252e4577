"""The two files of a memory bank, written whole and read with every check: ``.safetensors`` and ``.json``."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ammrg.atomic import as_new_files
from ammrg.errors import MemoryBankError
from ammrg.fingerprints import file_fingerprint
from ammrg.memory.bank import FORMAT, MemoryBank
from ammrg.memory.bank_checks import check_content, check_leaks
from ammrg.memory.bank_sidecar import FINGERPRINT, bank_of, read_sidecar, sidecar_of
from ammrg.memory.held_out import HeldOut, Unchecked


def save(bank: MemoryBank, path: str | os.PathLike[str]) -> None:
    """Writes ``path.safetensors`` (tensors) and ``path.json`` (meta, owners, texts).

    A reader finds the old bank or the new one, never half of each: the new tensors lie whole beside the old ones,
    named by their content, before the one step that counts, the JSON's, makes them the bank's; only then do they take
    the old ones' place. What earlier saves that were killed left behind (ids and texts, perhaps withdrawn) is removed.

    Raises:
        MemoryBankError: an empty bank, content out of range, another split than ``train``, or a place that cannot be
            written (what could be read there still can).
    """
    tensors_path, json_path = bank_paths(path)
    check_content(bank, str(tensors_path))
    parts = [target.with_name(f".{target.name}.{os.getpid()}.part") for target in (tensors_path, json_path)]
    try:
        tensors_path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in bank.tensors().items()}
        # one entry only: safetensors writes several in random order, and equal banks must be equal files
        save_file(tensors, parts[0], metadata={"format": FORMAT})
        as_new_files(parts[:1])
        content = file_fingerprint(parts[0])
        parts[1].write_text(
            json.dumps(sidecar_of(bank, content), ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
        )
        for part in parts:
            with part.open("rb+") as file:
                os.fsync(file.fileno())
        arriving = _arriving(tensors_path, content)
        if not arriving.exists():  # else the bank's own tensors, where an earlier save was killed
            os.replace(parts[0], arriving)
            parts[0] = arriving
        os.replace(parts[1], json_path)
        parts.clear()
        os.replace(arriving, tensors_path)
        for leftover in _leftovers(tensors_path):
            leftover.unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:
        raise MemoryBankError(
            f"{tensors_path}: cannot be written ({error}). Make room or name another place; a bank that was there "
            "can still be read"
        ) from error
    finally:
        for part in parts:
            with suppress(OSError):  # nothing there, or no folder even
                part.unlink()


def load(
    path: str | os.PathLike[str],
    held_out: HeldOut | Unchecked,
    *,
    encoder_fingerprint: str | None = None,
    data_fingerprint: str | None = None,
) -> MemoryBank:
    """Reads a bank and checks all of it.

    Args:
        path: the bank's path, without suffix or with either file's.
        held_out: whom the bank must not hold; where nobody can be named, why. Whoever writes or scores reports with
            the bank names them.
        encoder_fingerprint: of the encoder in use; None: not checked (where reports are recalled, no text encoder is
            in use).
        data_fingerprint: of the prepared data in use; None: not checked.

    Raises:
        MemoryBankError: a file missing or broken, another format version, encoder or data set, another split than
            ``train``, an empty bank, content out of range or not of its kind, or, with ``held_out``, an evaluation
            study among the owners or no owners at all.
    """
    tensors_path, json_path = bank_paths(path)
    where = str(json_path)
    sidecar = read_sidecar(json_path)
    arriving = _arriving(tensors_path, sidecar["tensors"])
    if arriving.is_file():
        tensors_path = arriving  # of a save that was killed before its last step
    if not tensors_path.is_file():
        raise MemoryBankError(f"{tensors_path}: missing beside {json_path.name}; build the memory again")
    try:
        found = file_fingerprint(tensors_path)
    except OSError as error:
        raise MemoryBankError(f"{tensors_path}: cannot be read ({error})") from error
    if sidecar["tensors"] != found:
        raise MemoryBankError(
            f"{tensors_path}: content {found}, but {json_path.name} belongs to {sidecar['tensors']}: "
            "an interrupted copy or a changed file; build the memory again"
        )
    try:
        bank = bank_of(sidecar, load_file(tensors_path))
    except (SafetensorError, OSError, TypeError, MemoryBankError) as error:
        raise MemoryBankError(f"{tensors_path}: not a whole memory bank ({error}); build the memory again") from error
    check_content(bank, where)
    for name, said, held in (("count", sidecar["count"], len(bank)), ("width", sidecar["width"], bank.width)):
        if said != held:
            raise MemoryBankError(f"{where}: {name} is {said}, but its tensors hold {held}; build the memory again")
    for field, found, wanted in (
        ("encoder", bank.meta.encoder_fingerprint, encoder_fingerprint),
        ("data", bank.meta.data_fingerprint, data_fingerprint),
    ):
        if wanted is not None and found != wanted:
            raise MemoryBankError(
                f"{where}: {field}_fingerprint is {found}, but the {field} in use is {wanted}. "
                f"Its patterns belong to another {field}: build the memory again for this one, or point to the other"
            )
    if isinstance(held_out, HeldOut):
        check_leaks(bank, held_out, where=where)
    return bank


def bank_paths(path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """The two files of a bank: (``.safetensors``, ``.json``).

    Raises:
        MemoryBankError: a path that ends in no name.
    """
    path = Path(path)
    if path.name in ("", ".."):
        raise MemoryBankError(f"{path}: a folder, not a bank; name one, e.g. {path / 'regions'}")
    if path.suffix in (".safetensors", ".json"):
        path = path.with_suffix("")
    return path.with_name(path.name + ".safetensors"), path.with_name(path.name + ".json")


def banks_in(folder: Path) -> list[Path]:
    """The banks of a folder (paths without suffix), by name.

    Raises:
        MemoryBankError: there is none.
    """
    named = [(path, path.with_suffix(".safetensors")) for path in sorted(folder.glob("*.json"))]
    found = [path.with_suffix("") for path, tensors in named if tensors.exists() or _arrived(tensors)]
    if not found:
        raise MemoryBankError(f"{folder}: no memory bank in this folder; build one first (make memories)")
    return found


def _arriving(tensors_path: Path, content: str) -> Path:
    """Where tensors lie between being the bank's, by its JSON, and having its name."""
    return tensors_path.with_suffix(f".{content}.safetensors")


def _arrived(tensors_path: Path) -> list[Path]:
    """All of :func:`_arriving` that are there, of whatever content."""
    name = re.compile(rf"{re.escape(tensors_path.stem)}\.{FINGERPRINT.pattern}\.safetensors")
    there = [file for file in tensors_path.parent.iterdir() if name.fullmatch(file.name)]
    return [file for file in there if not file.with_suffix(".json").exists()]  # that would be another bank's


def _leftovers(tensors_path: Path) -> list[Path]:
    """What is there of saves of this bank that did not end."""
    name = re.compile(rf"\.{re.escape(tensors_path.stem)}\.(safetensors|json)\.\d+\.part")
    return [file for file in tensors_path.parent.iterdir() if name.fullmatch(file.name)] + _arrived(tensors_path)
