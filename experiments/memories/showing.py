"""A memory bank printed: counts per finding, nearest neighbours and a map of its patterns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from ammrg.errors import MemoryBankError
from ammrg.findings import ABNORMAL, FINDINGS, NO_FINDING, POSITIVE
from ammrg.imaging.pattern_map import draw_pattern_map
from ammrg.memory import bank_files as banks
from ammrg.memory import neighbours
from ammrg.memory.bank import NO_PLACES, MemoryBank
from ammrg.memory.bank_files import bank_paths, banks_in
from ammrg.memory.held_out import Unchecked
from ammrg.text.labeler import NAME as LABELER
from ammrg.text.labeler import label

TO_LOOK_AT = Unchecked("it is only looked at; nothing is evaluated with it")


def show(path: Path, of: Sequence[str] = (), count: int = 3, picture: Path | None = None) -> None:
    """Print what a bank holds, or list the banks of a folder.

    Args:
        path: a bank, or a folder of banks.
        of: rows or study ids whose nearest neighbours are printed; empty takes the strongest pattern of each finding.
        count: neighbours of each pattern.
        picture: a PNG file to draw a map of the patterns to; None draws none.

    Raises:
        MemoryBankError: there is no bank, or no such pattern, or the picture cannot be written.
    """
    if path.is_dir():
        if of or picture:
            raise MemoryBankError(
                f"{path}: is a folder; --of and --map need one bank: {', '.join(map(str, banks_in(path)))}"
            )
        Console().print(listing(path))
        return
    bank = banks.load(path, TO_LOOK_AT)
    groups = finding_of_pattern(bank)
    console = Console()
    console.print(description(bank, path))
    console.print(finding_table(bank, groups))
    rows = asked_rows(bank, of) if of else strongest_of_findings(bank, groups)
    near = neighbours.nearest(bank, torch.tensor(rows, dtype=torch.int64), count)
    console.print("\nnearest patterns of other patients (cosine)", style="bold")
    for row, indices, values in zip(rows, near.indices.tolist(), near.similarities.tolist(), strict=True):
        console.print(named(bank, row, groups), markup=False, highlight=False, soft_wrap=True)
        for index, value in zip(indices, values, strict=True):
            if value > -1.0:
                line = f"    {value:.2f}  {named(bank, index, groups)}"
                console.print(line, markup=False, highlight=False, soft_wrap=True)
    if picture is not None:
        points, shares = neighbours.plane(bank.patterns)
        names = [FINDINGS[group] if group >= 0 else "none" for group in groups.tolist()]
        queries = [not studies for studies in bank.study_ids]
        title = f"{bank.meta.kind}: {len(bank)} patterns of {bank.width} numbers"
        try:
            draw_pattern_map(points.numpy(), names, queries, shares.tolist(), title, picture)
        except OSError as error:
            raise MemoryBankError(f"--map {picture}: cannot be written ({error}); name another place") from error
        console.print(f"\n{picture}", markup=False, highlight=False, soft_wrap=True)


def listing(folder: Path) -> Table:
    """A table of the banks of a folder."""
    table = Table(padding=(0, 1, 0, 0), pad_edge=False)
    for head in ("bank", "kind", "patterns", "studies", "fingerprint"):
        table.add_column(head, justify="right" if head in ("patterns", "studies") else "left", overflow="fold")
    for path in banks_in(folder):
        bank = banks.load(path, TO_LOOK_AT)
        studies = {study for owners in bank.study_ids for study in owners}
        table.add_row(str(path), bank.meta.kind, str(len(bank)), str(len(studies)), bank.fingerprint)
    return table


def description(bank: MemoryBank, path: Path) -> Table:
    """A table with the facts about a bank, one per row."""
    meta, files = bank.meta, bank_paths(path)
    studies = {study for owners in bank.study_ids for study in owners}
    patients = {subject for owners in bank.subject_ids for subject in owners}
    owners = Counter(len(set(ids)) for ids in bank.study_ids)
    several = sum(count for size, count in owners.items() if size > 1)
    facts = {
        "bank": f"{files[0]} ({sum(file.stat().st_size for file in files) / 1e6:.1f} MB), format {meta.version}",
        "kind": f"{meta.kind}, {len(bank)} patterns of {bank.width} numbers",
        "from": f"{len(studies)} studies of {len(patients)} patients, split {meta.split}",
        "owners": f"{owners[0]} patterns without owner (disease queries), {several} with several (up to {max(owners)})",
        "chosen": f"{meta.selection}, seed {meta.seed}",
        "fingerprint": bank.fingerprint,
        "belongs to": f"encoder {meta.encoder_fingerprint}, data {meta.data_fingerprint}",
        "restricted": "yes: ids and texts must not leave this machine" if meta.restricted else "no",
    }
    if meta.kind == "regions":
        placed = int(bank.places.any(dim=1).sum())
        facts["places"] = NO_PLACES if bank.lacks_places else f"{placed} regions have one"
    table = Table(show_header=False, box=None, padding=(0, 1, 0, 0))
    for name, fact in facts.items():
        table.add_row(name, fact)
    for edit in meta.edits:
        table.add_row("edited", f"{edit.what} (before: {edit.before})")
    return table


def finding_of_pattern(bank: MemoryBank) -> torch.Tensor:
    """The finding of each pattern: int64 ``[n]``.

    For a region, the finding that it was mined for. For a report, the one of its positive findings that
    is rarest in the bank, or "No Finding" if it has none.
    """
    if bank.meta.kind == "regions":
        return bank.findings
    positive = torch.tensor([label(text) for text in bank.texts]) == POSITIVE
    counts = positive.sum(dim=0)
    rarity = torch.where(positive, counts, len(bank) + 1)
    rarest = rarity[:, list(ABNORMAL)].argmin(dim=1)
    return torch.where(positive[:, list(ABNORMAL)].any(dim=1), rarest, NO_FINDING)


def finding_table(bank: MemoryBank, groups: torch.Tensor) -> Table:
    """A table of the patterns and studies of each finding, and how often neighbours share the finding."""
    first, caption = "region of", None
    if bank.meta.kind == "reports":
        first, caption = "rarest finding", f"as the {LABELER} labeler reads the texts"
    table = Table(padding=(0, 1, 0, 0), pad_edge=False, caption=caption)
    for head in (first, "patterns", "studies", "mean score", "same neighbour", "chance"):
        table.add_column(head, justify="left" if head == first else "right", no_wrap=head == first)
    agreement = neighbours.agreement(bank, groups)
    for group in range(len(FINDINGS)):
        mine = [row for row in (groups == group).nonzero().flatten().tolist() if bank.study_ids[row]]
        if mine:
            alike = agreement[group]
            studies = {study for row in mine for study in bank.study_ids[row]}
            score = f"{float(bank.scores[mine].mean()):.2f}"
            shares = (f"{alike.found:.0%}", f"{alike.chance:.0%}") if alike.patterns else ("-", "-")
            table.add_row(FINDINGS[group], str(len(mine)), str(len(studies)), score, *shares)
    return table


def strongest_of_findings(bank: MemoryBank, groups: torch.Tensor) -> list[int]:
    """Rows of the strongest owned pattern of each finding (the first one of equal scores)."""
    best: dict[int, int] = {}
    for row, group in enumerate(groups.tolist()):
        if bank.study_ids[row] and (group not in best or bank.scores[row] > bank.scores[best[group]]):
            best[group] = row
    return [best[group] for group in sorted(best)]


def asked_rows(bank: MemoryBank, of: Sequence[str]) -> list[int]:
    """Rows of a bank that are named by their number or by the study that owns them.

    Raises:
        MemoryBankError: a name is neither.
    """
    rows = []
    for name in of:
        owned = [row for row, studies in enumerate(bank.study_ids) if name in studies]
        if not owned and name.isdecimal() and int(name) < len(bank):
            owned = [int(name)]
        if not owned:
            raise MemoryBankError(f"--of {name}: neither a study that owns a pattern nor a row (0 to {len(bank) - 1})")
        rows += owned
    return rows


def named(bank: MemoryBank, row: int, groups: torch.Tensor) -> str:
    """One line about a pattern: its row, finding, owner and text."""
    studies = bank.study_ids[row]
    owner = f"study {studies[0]}" if studies else "disease query"
    more = f" and {len(studies) - 1} more" if len(studies) > 1 else ""
    finding = FINDINGS[int(groups[row])] if groups[row] >= 0 else "no finding"
    return f"{row}: {finding}, {owner}{more}" + (f": {bank.texts[row]}" if bank.texts[row] else "")
