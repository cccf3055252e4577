"""Studies and patients leave the memories of a run, and the files are searched for what is left of them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from rich.table import Table

from ammrg.errors import MemoryBankError
from ammrg.memory import bank_files as banks
from ammrg.memory.bank import MemoryBank
from ammrg.memory.bank_files import bank_paths, banks_in
from ammrg.memory.editing import withdraw
from ammrg.memory.held_out import Unchecked

TO_PRUNE = Unchecked("studies are taken out of it, which also mends a leak")


class Proof(NamedTuple):
    """What is left of withdrawn studies in a bank's files."""

    ids: int
    """Dropped studies and patients that are still named, anywhere in the sidecar."""
    patterns: int
    """Patterns that are there more often than those who may stay own them, number for number."""
    texts: int
    """The same of reports' texts."""
    same_fingerprint: bool
    mentions: tuple[int, ...]
    """Patterns of others whose text has a dropped id in it; a short id may be a mere number there."""

    @property
    def is_gone(self) -> bool:
        """Nothing of their own is left."""
        return not (self.ids or self.patterns or self.texts or self.same_fingerprint)


def prune(path: Path, studies: Sequence[str], patients: Sequence[str], out: Path | None = None) -> dict[Path, Proof]:
    """Drop studies and patients from a bank, or from every bank of a folder; write, read again and prove that they are
    gone. In place, the pages that show a changed bank's regions (in ``NAME_report/``) go too, and of a run's folder the
    banks of its folds (``cross_fit_K/``) are pruned with it.

    Raises:
        MemoryBankError: an id that owns nothing or a bank that would be empty (nothing is changed then), or, which no
            bank has shown yet, a trace that stayed.
    """
    if not (studies or patients):
        raise MemoryBankError("prune: name whom to drop: --study ID or --patient ID")
    whole_folder = path.is_dir()
    sources = (banks_around(path) if out is None else banks_in(path)) if whole_folder else [bare(path)]
    before = {source: banks.load(source, TO_PRUNE) for source in sources}
    check_known(before, path, studies, patients)
    after = {source: withdraw(bank, studies, patients) for source, bank in before.items()}
    for source, bank in after.items():
        if len(bank) == 0:
            files = " and ".join(map(str, bank_paths(source)))
            raise MemoryBankError(
                f"{source}: nobody else owns a pattern of it: an empty memory bank would be left. Nothing was changed; "
                f"delete {files}{f' and {pages(source)}' if pages(source).is_dir() else ''} yourself"
            )
    gone = set(studies).union(*(studies_of(bank, patients) for bank in before.values()))
    found: dict[Path, Proof] = {}
    for source in sources:
        target = source if out is None else bare(out / source.name if whole_folder else out)
        if after[source] is before[source]:
            print(f"{bank_paths(source)[1]}: holds nothing of them, and stays")
            continue
        if target == source:
            remove_pages(source)
        banks.save(after[source], target)
        back = banks.load(target, TO_PRUNE)
        found[target] = proof(before[source], back, target, gone, patients)
        tell(before[source], back, target, found[target], studies, patients)
    if traces := [str(target) for target, left in found.items() if not left.is_gone]:
        raise MemoryBankError(
            f"{', '.join(traces)}: traces stayed (see above): do not use this memory; build it again from data without "
            "those studies"
        )
    tell_what_is_left(
        found,
        set(sources) | {other for place in {target.parent for target in found} for other in banks_around(place)},
        gone,
        patients,
    )
    return found


def banks_of_folds(folder: Path) -> list[Path]:
    """The banks that were mined by fold for the run of a ``memory`` folder."""
    places = sorted(folder.absolute().parent.glob("cross_fit_*/fold-*/memory"))
    return [bank for place in places if any(place.glob("*.json")) for bank in banks_in(place)]


def banks_around(folder: Path) -> list[Path]:
    """The banks of a folder and of its run's folds."""
    return [*banks_in(folder), *banks_of_folds(folder)]


def check_known(
    before: Mapping[Path, MemoryBank], path: Path, studies: Collection[str], patients: Collection[str]
) -> None:
    """Refuse an id that owns nothing: a slip of the pen must not pass for a withdrawal."""
    for kind, ids, owners in (
        ("study", studies, [bank.study_ids for bank in before.values()]),
        ("patient", patients, [bank.subject_ids for bank in before.values()]),
    ):
        known = {name for rows in owners for row in rows for name in row}
        if unknown := sorted(set(ids) - known):
            here = "these banks" if len(before) > 1 else "this bank"
            raise MemoryBankError(f"{path}: {kind} {', '.join(unknown)} owns no pattern of {here}; nothing was changed")


def studies_of(bank: MemoryBank, patients: Collection[str]) -> set[str]:
    """The studies that these patients have in a bank."""
    owners = zip(bank.study_ids, bank.subject_ids, strict=True)
    return {study for row in owners for study, subject in zip(*row, strict=True) if subject in set(patients)}


def bare(path: Path) -> Path:
    """A bank's path without its suffix, however it was given."""
    return bank_paths(path)[1].with_suffix("")


def pages(path: Path) -> Path:
    """Where the films of a bank's regions are shown, with their studies' ids (callbacks/mining_report.py)."""
    return path.with_name(f"{path.name}_report")


def remove_pages(path: Path) -> None:
    """Remove the pages of a bank that has changed. The numbers of its mining stay: nobody is named in them, and make
    takes their file for the sign that all is mined.

    Raises:
        MemoryBankError: they cannot be removed.
    """
    shown = sorted(pages(path).glob("*.png"))
    try:
        for page in shown:
            page.unlink()
    except OSError as error:
        raise MemoryBankError(f"{page}: cannot be removed ({error}), and shows films of the withdrawn") from error
    if shown:
        print(f"{pages(path)}: {len(shown)} pages removed; they showed films of the memory as it was")


def proof(
    before: MemoryBank, after: MemoryBank, path: Path, studies: Collection[str], patients: Collection[str]
) -> Proof:
    """Look for what was withdrawn in the bank as it was read again, and in its sidecar's own words.

    Args:
        before: the bank as it was.
        after: the bank as it was read again.
        path: where from.
        studies: all that left, those of the patients too.
        patients: who left.
    """
    sidecar = json.loads(bank_paths(path)[1].read_text(encoding="utf-8"))
    gone = set(studies)
    named_studies = set(_strings({key: value for key, value in sidecar.items() if key != "subject_ids"}))
    named_patients = set(_strings({key: value for key, value in sidecar.items() if key != "study_ids"}))
    may_stay = [row for row, owners in enumerate(before.study_ids) if not owners or set(owners) - gone]
    kept = before.take(torch.tensor(may_stay, dtype=torch.int64))
    patterns, texts = (
        Counter(content(after)) - Counter(content(kept))
        for content in (lambda bank: [row.tobytes() for row in bank.patterns.numpy()], lambda bank: bank.texts)
    )
    # an id stands alone: 5100 is not mentioned by 51000
    mention = re.compile(rf"(?<![^\W_])({'|'.join(map(re.escape, sorted(gone | set(patients))))})(?![^\W_])")
    return Proof(
        ids=len(gone & named_studies) + len(set(patients) & named_patients),
        patterns=patterns.total(),
        texts=texts.total(),
        same_fingerprint=before.fingerprint == after.fingerprint,
        mentions=tuple(row for row, text in enumerate(after.texts) if mention.search(text)),
    )


def _strings(value: object) -> list[str]:
    """Every string of a JSON value, keys apart."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for part in value.values() for text in _strings(part)]
    if isinstance(value, list):
        return [text for part in value for text in _strings(part)]
    return []


# --- what is said -----------------------------------------------------------------------------------------------------


def tell(
    before: MemoryBank,
    after: MemoryBank,
    path: Path,
    found: Proof,
    studies: Collection[str],
    patients: Collection[str],
) -> None:
    """What went from one bank and what was found of it, a line a fact."""
    went = len(before) - len(after)
    lost = sum(len(owners) for owners in before.study_ids) - sum(len(owners) for owners in after.study_ids)
    asked = [
        f"{noun} {', '.join(sorted(set(ids)))}" for noun, ids in (("study", studies), ("patient", patients)) if ids
    ]
    mentioned = [f"{row} (study {after.study_ids[row][0]})" for row in found.mentions]
    facts = {
        "bank": str(bank_paths(path)[0]),
        "dropped": "; ".join(asked),
        "patterns": f"{len(before)} -> {len(after)}: {went} went",
        "owners": f"{lost} struck, {lost - went} of them from patterns that others own too",
        "ids left": f"{found.ids} of those dropped are named in {bank_paths(path)[1].name}",
        "patterns left": f"{found.patterns} that nobody who stays owns",
        "texts left": f"{found.texts} that nobody who stays owns",
        "fingerprint": f"{before.fingerprint} -> {after.fingerprint}",
    }
    if mentioned:
        facts["mentioned"] = f"in the text of {', '.join(mentioned)}: read it; is it about them, drop that study too"
    table = Table(show_header=False, box=None, padding=(0, 1, 0, 0))
    for name, fact in facts.items():
        table.add_row(name, fact)
    Console().print(table)


def tell_what_is_left(
    found: Mapping[Path, Proof], around: Collection[Path], studies: Collection[str], patients: Collection[str]
) -> None:
    """Name the banks, beside those pruned or where they came from, that still hold them."""
    left = []
    for path in sorted(set(around) - set(found)):
        try:
            bank = banks.load(path, TO_PRUNE)
        except MemoryBankError as error:
            left.append(f"not looked into: {error}")
            continue
        if studies_of(bank, patients) or any(set(owners) & set(studies) for owners in bank.study_ids):
            shown = f", and {pages(path)} may show their films" if any(pages(path).glob("*.png")) else ""
            left.append(f"{bank_paths(path)[1]}: still holds patterns of theirs{shown}")
    for line in left:
        print(line)
    but = (
        " from what was pruned, not from what is named above" if left or any(p.mentions for p in found.values()) else ""
    )
    print(
        f"gone{but}. Copies elsewhere (exports, backups, reports written with them, weights trained with the old bank) "
        "are not this command's to clear"
    )
