"""The two files of a memory bank, ``.safetensors`` and ``.json``: written atomically and checked when read."""

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
    """Write ``path.safetensors`` (tensors) and ``path.json`` (meta, owners, texts).

    A reader finds either the old bank or the new one, never a mixture. The new tensors are first written beside the old
    ones, under a name made from their content. Then the new JSON file replaces the old one: from this step on, the bank
    is the new one. Last, the new tensors replace the old ones. Files that killed saves left behind are removed, because
    they may hold ids and texts that were withdrawn.

    Raises:
        MemoryBankError: the bank is empty, its content is out of range, its split is not ``train``, or the files cannot
            be written (a bank that was there can still be read).
    """
    tensors_path, json_path = bank_paths(path)
    check_content(bank, str(tensors_path))
    parts = [target.with_name(f".{target.name}.{os.getpid()}.part") for target in (tensors_path, json_path)]
    try:
        tensors_path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in bank.tensors().items()}
        # only one metadata entry: safetensors writes several in random order, and equal banks must give equal files
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
        if not arriving.exists():  # it exists where an earlier save of the same content was killed
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
            with suppress(OSError):  # the file or even its folder may not exist
                part.unlink()


def load(
    path: str | os.PathLike[str],
    held_out: HeldOut | Unchecked,
    *,
    encoder_fingerprint: str | None = None,
    data_fingerprint: str | None = None,
) -> MemoryBank:
    """Read a bank and check all of it.

    Args:
        path: the bank's path, without suffix or with the suffix of either file.
        held_out: the studies and patients that the bank must not hold; where they cannot be named, the reason. Code
            that writes or scores reports with the bank must name them.
        encoder_fingerprint: of the encoder in use; None: not checked (retrieval of reports uses no text encoder).
        data_fingerprint: of the prepared data in use; None: not checked.

    Raises:
        MemoryBankError: a file is missing or broken; the format version, encoder or data set is another; the split is
            not ``train``; the bank is empty, or its content is out of range or of another kind; or, with a
            :class:`HeldOut`, an evaluation study owns a pattern or owners were left out.
    """
    tensors_path, json_path = bank_paths(path)
    where = str(json_path)
    sidecar = read_sidecar(json_path)
    arriving = _arriving(tensors_path, sidecar["tensors"])
    if arriving.is_file():
        tensors_path = arriving  # a save was killed before its last step
    if not tensors_path.is_file():
        raise MemoryBankError(f"{tensors_path}: missing beside {json_path.name}; build the memory again")
    try:
        found = file_fingerprint(tensors_path)
    except OSError as error:
        raise MemoryBankError(f"{tensors_path}: cannot be read ({error})") from error
    if sidecar["tensors"] != found:
        raise MemoryBankError(
            f"{tensors_path}: has fingerprint {found}, but {json_path.name} belongs to {sidecar['tensors']}: "
            "an interrupted copy or a changed file; build the memory again"
        )
    try:
        bank = bank_of(sidecar, load_file(tensors_path))
    except (SafetensorError, OSError, TypeError, MemoryBankError) as error:
        raise MemoryBankError(f"{tensors_path}: not a whole memory bank ({error}); build the memory again") from error
    check_content(bank, where)
    for name, declared, held in (("count", sidecar["count"], len(bank)), ("width", sidecar["width"], bank.width)):
        if declared != held:
            raise MemoryBankError(f"{where}: {name} is {declared}, but its tensors hold {held}; build the memory again")
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
    """Return the paths of a bank's two files: (``.safetensors``, ``.json``).

    Raises:
        MemoryBankError: the path does not end in a name.
    """
    path = Path(path)
    if path.name in ("", ".."):
        raise MemoryBankError(f"{path}: a folder, not a bank; name one, e.g. {path / 'regions'}")
    if path.suffix in (".safetensors", ".json"):
        path = path.with_suffix("")
    return path.with_name(path.name + ".safetensors"), path.with_name(path.name + ".json")


def banks_in(folder: Path) -> list[Path]:
    """List the banks of a folder, as paths without suffix, by name.

    Raises:
        MemoryBankError: there is no bank.
    """
    named = [(path, path.with_suffix(".safetensors")) for path in sorted(folder.glob("*.json"))]
    found = [path.with_suffix("") for path, tensors in named if tensors.exists() or _arrived(tensors)]
    if not found:
        raise MemoryBankError(f"{folder}: no memory bank in this folder; build one first (make memories)")
    return found


def _arriving(tensors_path: Path, content: str) -> Path:
    """Return the temporary path of new tensors: they belong to the bank once its JSON file names their content."""
    return tensors_path.with_suffix(f".{content}.safetensors")


def _arrived(tensors_path: Path) -> list[Path]:
    """List the bank's files with a name from :func:`_arriving`, whatever their content."""
    name = re.compile(rf"{re.escape(tensors_path.stem)}\.{FINGERPRINT.pattern}\.safetensors")
    there = [file for file in tensors_path.parent.iterdir() if name.fullmatch(file.name)]
    return [file for file in there if not file.with_suffix(".json").exists()]  # that would be another bank's


def _leftovers(tensors_path: Path) -> list[Path]:
    """List the files that unfinished saves of this bank left behind."""
    name = re.compile(rf"\.{re.escape(tensors_path.stem)}\.(safetensors|json)\.\d+\.part")
    return [file for file in tensors_path.parent.iterdir() if name.fullmatch(file.name)] + _arrived(tensors_path)
