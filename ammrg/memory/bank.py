"""The memory bank: stored patterns, where each one comes from, its files, and the guard against leaks."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ammrg.atomic import as_new_files
from ammrg.errors import MemoryBankError
from ammrg.findings import FINDINGS, NUM_FINDINGS
from ammrg.fingerprints import file_fingerprint, json_fingerprint, tensors_fingerprint
from ammrg.memory.held_out import HeldOut, Unchecked
from ammrg.memory.owners import Exclude, OwnerIndex

FORMAT = "ammrg-memory-bank"
FORMAT_VERSION = 2
BankKind = Literal["regions", "reports"]
FINGERPRINT = re.compile("[0-9a-f]{16}")
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
        """Owners, ready for masks."""
        return OwnerIndex(self.study_ids, self.subject_ids)

    @cached_property
    def is_owned(self) -> Tensor:
        """bool ``[n]``: False for a disease query."""
        return torch.tensor([bool(studies) for studies in self.study_ids], dtype=torch.bool)

    @cached_property
    def region_findings(self) -> Tensor:
        """int64 ``[n]``: the finding of each region; -1 for what has no owner (a disease query) and for reports."""
        return torch.where(self.is_owned, self.findings, -1)

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


def check_leaks(bank: MemoryBank, held_out: HeldOut, *, where: str = "memory bank") -> None:
    """Refuses a bank that holds a pattern of an evaluation study or of its patient, or that does not say whose its
    patterns are.

    Args:
        bank: the bank; every owner of a merged pattern counts.
        held_out: the validation and test studies and their patients.
        where: what to call the bank in the message.

    Raises:
        MemoryBankError: with the first ids and how many there are.
    """
    for noun, owned, forbidden in (
        ("studies", bank.study_ids, held_out.studies),
        ("patients", bank.subject_ids, held_out.subjects),
    ):
        leaked = sorted(({name for ids in owned for name in ids} & forbidden) - {""})
        if leaked:
            raise MemoryBankError(
                f"{where}: holds patterns of {len(leaked)} {noun} of the validation or test split: {_named(leaked)}. "
                "A memory may only hold training studies: build it again from the training split "
                "(or, where a split was changed since, prepare the data and build everything after it again)"
            )
    nobodys = len(bank) - int(bank.is_owned.sum())
    if nobodys > (NUM_FINDINGS if bank.meta.kind == "regions" else 0):
        raise MemoryBankError(
            f"{where}: does not say whose {nobodys} of its {len(bank)} patterns are (ids were left out of it), so that "
            "nobody can tell whether evaluation studies are among them; use the bank of the run it was exported from"
        )


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
    _check_content(bank, str(tensors_path))
    parts = [target.with_name(f".{target.name}.{os.getpid()}.part") for target in (tensors_path, json_path)]
    try:
        tensors_path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in bank._tensors().items()}
        # one entry only: safetensors writes several in random order, and equal banks must be equal files
        save_file(tensors, parts[0], metadata={"format": FORMAT})
        as_new_files(parts[:1])
        content = file_fingerprint(parts[0])
        sidecar = {
            "format": FORMAT,
            **dataclasses.asdict(bank.meta),
            "count": len(bank),
            "width": bank.width,
            "tensors": content,
            "finding_names": FINDINGS,
            "study_ids": bank.study_ids,
            "subject_ids": bank.subject_ids,
            "texts": bank.texts,
        }
        parts[1].write_text(json.dumps(sidecar, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
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
    sidecar = _read_sidecar(json_path)
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
    if not FINGERPRINT.fullmatch(sidecar["tensors"]):
        raise MemoryBankError(f"{path}: tensors is {sidecar['tensors']!r}, not 16 hex digits; build the memory again")
    if sidecar["finding_names"] != list(FINDINGS):
        raise MemoryBankError(
            f"{path}: finding_names are {', '.join(map(str, sidecar['finding_names']))}; its findings count by another "
            f"list than this code's ({', '.join(FINDINGS)}): build the memory again"
        )
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
    if bank.width < 2:
        raise MemoryBankError(f"{where}: patterns of width {bank.width}; layer-normed, nothing is left of them")
    for rule, allowed in _rules(bank).items():
        if not allowed.all():
            rows = (~allowed).nonzero().flatten().tolist()
            raise MemoryBankError(
                f"{where}: {rule}, but not in {len(rows)} of {len(bank)} patterns (rows {_named(map(str, rows))}); "
                "build the memory again"
            )


def _rules(bank: MemoryBank) -> dict[str, Tensor]:
    """What each pattern of a bank of its kind obeys, in words -> where it does, bool ``[n]``."""
    boxes = bank.boxes
    on_film = ((boxes >= 0) & (boxes <= 1)).all(dim=1) & (boxes[:, :2] <= boxes[:, 2:]).all(dim=1)
    has_text = torch.tensor([bool(text) for text in bank.texts])
    rules = {
        "scores lie in [0, 1]": (bank.scores >= 0) & (bank.scores <= 1),  # NaN does not
        "views count from 0, or are -1": bank.views >= -1,
        "boxes are x0 <= x1, y0 <= y1 in [0, 1], or all NaN": on_film | boxes.isnan().all(dim=1),
        "owning studies have an id": torch.tensor(["" not in studies for studies in bank.study_ids]),
    }
    if bank.meta.kind == "regions":
        rules |= {
            "a region has no text": ~has_text,
            "a region or a disease query has a finding": bank.findings >= 0,
        }
    else:
        bare = not bool((has_text | bank.is_owned).any())  # exported without identities
        rules |= {
            "a report has a text": has_text | bare,
            "a report has no finding of its own": bank.findings == -1,
            "a report has an owner": bank.is_owned | bare,
        }
    return rules


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


def _named(ids: Iterable[str]) -> str:
    names = list(ids)
    more = len(names) - NAMED_IN_ERRORS
    return ", ".join(names[:NAMED_IN_ERRORS]) + (f" and {more} more" if more > 0 else "")
