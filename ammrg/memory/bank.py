"""The memory bank: stored patterns, where each one comes from, its files, and the guard against leaks."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ammrg.errors import MemoryBankError
from ammrg.findings import FINDINGS, NUM_FINDINGS
from ammrg.fingerprints import file_fingerprint, json_fingerprint, tensors_fingerprint
from ammrg.memory.owners import Exclude, OwnerIndex

FORMAT = "ammrg-memory-bank"
FORMAT_VERSION = 2
BankKind = Literal["regions", "reports"]
NAMED_IN_ERRORS = 5
"""How many ids an error names before it counts the rest."""


@dataclasses.dataclass(frozen=True)
class BankEdit:
    """What was done to a bank after it was built. It never names an id: a withdrawn one must not live on here."""

    before: str
    """Fingerprint of the bank as it was."""
    what: str
    """In words and counts."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BankMeta:
    """What a bank is, and what it belongs to."""

    kind: BankKind
    version: int = FORMAT_VERSION
    encoder_fingerprint: str
    """Of the stage-1 checkpoint (regions) or the text encoder (reports) whose space the patterns live in."""
    data_fingerprint: str
    """Of the prepared data set the patterns were drawn from."""
    split: str
    """The split all patterns come from: ``train``."""
    seed: int
    selection: str
    """How patterns were chosen, e.g. ``coreset``, ``random``, ``proportional``, ``balanced``."""
    restricted: bool
    """True where ids, texts and crops must not leave the machine (every source but the phantom)."""
    edits: tuple[BankEdit, ...] = ()
    """Oldest first; empty for a bank as it was built."""


@dataclasses.dataclass(frozen=True, eq=False)
class MemoryBank:
    """n stored patterns with their provenance.

    A region pattern has a finding, a box on a film and a score; a report pattern has its text. A disease query stored
    as a pattern has no owner (``()``), view -1 and a box of NaN. A pattern merged from duplicates keeps all owners.

    Raises:
        MemoryBankError: fields of different lengths or of another dtype or shape.
    """

    patterns: Tensor
    """float32 ``[n d]``, not normalised."""
    study_ids: tuple[tuple[str, ...], ...]
    """Length n: the studies that own each pattern."""
    subject_ids: tuple[tuple[str, ...], ...]
    """Length n: the patients of those studies, in the same order."""
    findings: Tensor
    """int64 ``[n]``: index into :data:`ammrg.findings.FINDINGS`, -1 none."""
    boxes: Tensor
    """float32 ``[n 4]``: x0 y0 x1 y1 relative to the film, NaN none."""
    views: Tensor
    """int64 ``[n]``: the film of the (first) owning study, -1 none."""
    texts: tuple[str, ...]
    """Length n: the report's text, empty where none."""
    scores: Tensor
    """float32 ``[n]`` in [0, 1]: how sure the pattern is (regions), 1 otherwise."""
    meta: BankMeta

    def __post_init__(self) -> None:
        if self.patterns.dim() != 2:
            raise MemoryBankError(f"memory bank: patterns must be a matrix [n d], not {list(self.patterns.shape)}")
        n = len(self.patterns)
        expected: dict[str, tuple[Tensor, torch.dtype, tuple[int, ...]]] = {
            "patterns": (self.patterns, torch.float32, (n, self.patterns.shape[1])),
            "findings": (self.findings, torch.int64, (n,)),
            "boxes": (self.boxes, torch.float32, (n, 4)),
            "views": (self.views, torch.int64, (n,)),
            "scores": (self.scores, torch.float32, (n,)),
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
        """d, width of the patterns."""
        return self.patterns.shape[1]

    @cached_property
    def owner_index(self) -> OwnerIndex:
        """Sole owners, ready for masks."""
        return OwnerIndex(self.study_ids, self.subject_ids)

    @cached_property
    def region_findings(self) -> Tensor:
        """int64 ``[n]``: the finding of each region; -1 for what has no owner (a disease query) and for reports."""
        owned = torch.tensor([bool(studies) for studies in self.study_ids], dtype=torch.bool)
        return torch.where(owned, self.findings, -1)

    @cached_property
    def fingerprint(self) -> str:
        """Of all it holds: patterns, provenance and meta. What a stage-2 checkpoint records."""
        provenance = [self.study_ids, self.subject_ids, self.texts, dataclasses.asdict(self.meta)]
        return json_fingerprint([tensors_fingerprint(self._tensors()), provenance])

    def descends_from(self, fingerprint: str) -> bool:
        """True for the bank of this fingerprint and for every bank edited from it."""
        return fingerprint in (self.fingerprint, *(edit.before for edit in self.meta.edits))

    def take(self, rows: Tensor) -> MemoryBank:
        """The bank of the given rows (int64 ``[m]``), in their order."""
        order = rows.tolist()
        return MemoryBank(
            study_ids=tuple(self.study_ids[i] for i in order),
            subject_ids=tuple(self.subject_ids[i] for i in order),
            texts=tuple(self.texts[i] for i in order),
            meta=self.meta,
            **{name: tensor[rows] for name, tensor in self._tensors().items()},
        )

    def _tensors(self) -> dict[str, Tensor]:
        return {
            "patterns": self.patterns,
            "findings": self.findings,
            "boxes": self.boxes,
            "views": self.views,
            "scores": self.scores,
        }


def owners_mask(bank: MemoryBank, study_ids: Sequence[str], subject_ids: Sequence[str], exclude: Exclude) -> Tensor:
    """Which patterns each of b studies may recall, bool ``[b n]`` on the CPU, True = may be recalled.

    See :meth:`ammrg.memory.owners.OwnerIndex.mask`.
    """
    return bank.owner_index.mask(study_ids, subject_ids, exclude)


def check_leaks(
    bank: MemoryBank,
    forbidden_studies: Collection[str] = (),
    forbidden_subjects: Collection[str] = (),
    *,
    where: str = "memory bank",
) -> None:
    """Refuses a bank that holds a pattern of an evaluation study or of its patient.

    Args:
        bank: the bank; every owner of a merged pattern counts.
        forbidden_studies: ids of the validation and test studies.
        forbidden_subjects: ids of their patients; an empty id is an unknown patient and matches nothing.
        where: what to call the bank in the message.

    Raises:
        MemoryBankError: with the first ids and how many there are.
    """
    for noun, owned, forbidden in (
        ("studies", bank.study_ids, forbidden_studies),
        ("patients", bank.subject_ids, forbidden_subjects),
    ):
        leaked = sorted(({name for ids in owned for name in ids} & set(forbidden)) - {""})
        if leaked:
            raise MemoryBankError(
                f"{where}: holds patterns of {len(leaked)} {noun} of the validation or test split: {_named(leaked)}. "
                "A memory may only hold training studies: build it again from the training split "
                "(or, where a split was changed since, prepare the data and build everything after it again)"
            )


def save(bank: MemoryBank, path: str | os.PathLike[str]) -> None:
    """Writes ``path.safetensors`` (tensors) and ``path.json`` (meta, owners, texts).

    Both files are written whole beside their places and then moved there; the JSON, moved last, names the content of
    the tensors' file, so that halves of two different saves are told apart at load.

    Raises:
        MemoryBankError: an empty bank, non-finite patterns, or another split than ``train``.
    """
    tensors_path, json_path = bank_paths(path)
    _check_content(bank, str(tensors_path))
    tensors_path.parent.mkdir(parents=True, exist_ok=True)
    parts = [target.with_name(f".{target.name}.{os.getpid()}.part") for target in (tensors_path, json_path)]
    try:
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in bank._tensors().items()}
        # one entry only: safetensors writes several in random order, and equal banks must be equal files
        save_file(tensors, parts[0], metadata={"format": FORMAT})
        sidecar = {
            "format": FORMAT,
            **dataclasses.asdict(bank.meta),
            "count": len(bank),
            "width": bank.width,
            "tensors": file_fingerprint(parts[0]),
            "finding_names": FINDINGS,
            "study_ids": bank.study_ids,
            "subject_ids": bank.subject_ids,
            "texts": bank.texts,
        }
        parts[1].write_text(json.dumps(sidecar, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        for part in parts:
            with part.open("rb+") as file:
                os.fsync(file.fileno())
        os.replace(parts[0], tensors_path)
        os.replace(parts[1], json_path)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


def load(
    path: str | os.PathLike[str],
    *,
    encoder_fingerprint: str | None = None,
    data_fingerprint: str | None = None,
    forbidden_studies: Collection[str] = (),
    forbidden_subjects: Collection[str] = (),
) -> MemoryBank:
    """Reads a bank and checks all of it.

    Args:
        path: the bank's path, without suffix or with either file's.
        encoder_fingerprint: of the encoder in use; None: not checked.
        data_fingerprint: of the prepared data in use; None: not checked.
        forbidden_studies: ids of the validation and test studies, wherever a split is known.
        forbidden_subjects: ids of their patients.

    Raises:
        MemoryBankError: a file missing or broken, another format version, encoder or data set, another split than
            ``train``, an empty bank, non-finite patterns, or an evaluation study among the owners.
    """
    tensors_path, json_path = bank_paths(path)
    where = str(json_path)
    sidecar = _read_sidecar(json_path)
    if not tensors_path.is_file():
        raise MemoryBankError(f"{tensors_path}: missing beside {json_path.name}; build the memory again")
    found = file_fingerprint(tensors_path)
    if sidecar["tensors"] != found:
        raise MemoryBankError(
            f"{tensors_path}: content {found}, but {json_path.name} belongs to {sidecar['tensors']}: "
            "an interrupted save or a changed file; build the memory again"
        )
    try:
        tensors = load_file(tensors_path)
        bank = MemoryBank(
            study_ids=_owners(sidecar, "study_ids"),
            subject_ids=_owners(sidecar, "subject_ids"),
            texts=_texts(sidecar),
            meta=_meta(sidecar),
            **tensors,
        )
    except (SafetensorError, OSError, TypeError, MemoryBankError) as error:
        raise MemoryBankError(f"{tensors_path}: not a whole memory bank ({error}); build the memory again") from error
    _check_content(bank, where)
    for field, found, wanted in (
        ("encoder", bank.meta.encoder_fingerprint, encoder_fingerprint),
        ("data", bank.meta.data_fingerprint, data_fingerprint),
    ):
        if wanted is not None and found != wanted:
            raise MemoryBankError(
                f"{where}: {field}_fingerprint is {found}, but the {field} in use is {wanted}. "
                f"Its patterns belong to another {field}: build the memory again for this one, or point to the other"
            )
    check_leaks(bank, forbidden_studies, forbidden_subjects, where=where)
    return bank


def bank_paths(path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """The two files of a bank: (``.safetensors``, ``.json``)."""
    path = Path(path)
    if path.suffix in (".safetensors", ".json"):
        path = path.with_suffix("")
    return path.with_name(path.name + ".safetensors"), path.with_name(path.name + ".json")


_FIELDS = {
    "tensors": str,
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


def _read_sidecar(path: Path) -> dict[str, Any]:
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
    return sidecar


def _check_content(bank: MemoryBank, where: str) -> None:
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
        raise MemoryBankError(
            f"{where}: {len(broken)} of {len(bank)} patterns hold NaN or infinity (rows {_named(map(str, broken))}). "
            "The encoder that made them is broken: train it again, then build the memory again"
        )


def _meta(sidecar: dict[str, Any]) -> BankMeta:
    fields = {field.name: sidecar[field.name] for field in dataclasses.fields(BankMeta)}
    return BankMeta(**fields | {"edits": tuple(BankEdit(**edit) for edit in fields["edits"])})


def _owners(sidecar: dict[str, Any], field: str) -> tuple[tuple[str, ...], ...]:
    rows = sidecar[field]
    if not all(isinstance(ids, list) and all(isinstance(name, str) for name in ids) for ids in rows):
        raise MemoryBankError(f"{field} must be a list of lists of strings")
    return tuple(tuple(ids) for ids in rows)


def _texts(sidecar: dict[str, Any]) -> tuple[str, ...]:
    if not all(isinstance(text, str) for text in sidecar["texts"]):
        raise MemoryBankError("texts must be a list of strings")
    return tuple(sidecar["texts"])


def _named(ids: Iterable[str]) -> str:
    names = list(ids)
    more = len(names) - NAMED_IN_ERRORS
    return ", ".join(names[:NAMED_IN_ERRORS]) + (f" and {more} more" if more > 0 else "")
