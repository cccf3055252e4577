"""``python -m experiments memory COMMAND``: look into a memory bank, change who it remembers, measure what it does."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from rich.table import Table

from ammrg.errors import CheckpointError, DataError, MemoryBankError
from ammrg.findings import ABNORMAL, FINDINGS, NO_FINDING, POSITIVE
from ammrg.imaging.pattern_map import draw_pattern_map
from ammrg.memory import bank as banks
from ammrg.memory import neighbours
from ammrg.memory.bank import MemoryBank, bank_paths, banks_in, owners_mask
from ammrg.memory.editing import extend
from ammrg.memory.held_out import HeldOut, Unchecked
from ammrg.text.labeler import NAME as LABELER
from ammrg.text.labeler import label
from datamodules.prepared import PreparedFolder
from experiments.argument_types import positive
from experiments.command_parser import CommandParser
from experiments.memory_withdrawal import prune
from experiments.stage1_data import kept_setting

BANK_HELP = "a bank's path, e.g. outputs/phantom/default/memory/regions"
TO_LOOK_AT = Unchecked("it is looked at, and nothing is evaluated with it")
FOLDER_HELP = f"{BANK_HELP}, or the folder it lies in"


def png(text: str) -> Path:
    """The path of a picture, for argparse; matplotlib would write another kind, or under another name."""
    if not text.lower().endswith(".png"):
        raise argparse.ArgumentTypeError(f"{text!r} must end in .png")
    return Path(text)


def main(argv: Sequence[str]) -> int:
    """``python -m experiments memory show outputs/phantom/default/memory/regions``."""
    parser = CommandParser(
        prog="python -m experiments memory", description="Look into memory banks, change them, measure what they do."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    shown = commands.add_parser("show", help="what a bank holds: counts, nearest neighbours, a map of its patterns")
    shown.add_argument("bank", type=Path, help=f"{FOLDER_HELP}: then its banks are listed")
    shown.add_argument(
        "--of",
        nargs="+",
        action="extend",
        default=[],
        metavar="ROW|STUDY",
        help="patterns whose neighbours are listed (default: one a finding)",
    )
    shown.add_argument(
        "--neighbours", type=positive, default=3, metavar="K", help="how many for each (default %(default)s)"
    )
    shown.add_argument("--map", type=png, metavar="PNG", help="draw the patterns on a plane, coloured by finding")

    checked = commands.add_parser("check", help="read a bank with every guard; exit status 1 where one refuses it")
    checked.add_argument("bank", type=Path, help=BANK_HELP)

    merged = commands.add_parser("merge", help="extend a bank with the new studies of another")
    merged.add_argument("bank", type=Path, help=f"the bank to extend: {BANK_HELP}")
    merged.add_argument("other", type=Path, help="a bank of new studies, made with the same encoder")
    merged.add_argument("--out", type=Path, required=True, help="path of the extended bank")

    pruned = commands.add_parser("prune", help="drop studies or patients from a bank and prove that they are gone")
    pruned.add_argument("bank", type=Path, help=f"{FOLDER_HELP}: then all its banks")
    for name, help_text in (("--study", "studies to drop"), ("--patient", "patients to drop, with all their studies")):
        pruned.add_argument(name, nargs="+", action="extend", default=[], metavar="ID", help=help_text)
    pruned.add_argument("--out", type=Path, help="path of the smaller bank, or their folder (default: in place)")

    leaned = commands.add_parser(
        "associations", help="do positive findings recall regions of their own, beside chance?"
    )
    compared = commands.add_parser("compare", help="write and score reports with the memories on, exchanged and off")
    for command in (leaned, compared):
        command.add_argument("run", type=Path, help="a finished run: outputs/<dataset>/<run>")
    leaned.add_argument("--split", default="test", choices=("train", "val", "test"), help="default: %(default)s")
    leaned.add_argument(
        "--top", type=positive, default=5, metavar="K", help="strongest regions looked at; default %(default)s"
    )

    data_help = "prepared data: refuse its validation and test studies"
    checked.add_argument("--data", metavar="FOLDER", help=data_help)
    merged.add_argument("--data", metavar="FOLDER", help=f"{data_help}; default: those of the run that BANK lies in")
    for command in (checked, merged):
        command.add_argument("--stage1", type=Path, metavar="CKPT", help="stage-1 checkpoint that it must belong to")

    options = parser.parse_args(argv)
    if options.command == "show":
        show(options.bank, options.of, options.neighbours, options.map)
    elif options.command == "check":
        check(options.bank, options.data, options.stage1)
    elif options.command == "merge":
        merge(options.bank, options.other, options.out, options.data, options.stage1)
    elif options.command == "prune":
        prune(options.bank, options.study, options.patient, options.out)
    else:
        from experiments import memory_measures  # Lightning takes seconds to import

        if options.command == "associations":
            memory_measures.associations(options.run, options.split, options.top)
        else:
            memory_measures.compare(options.run)
    return 0


# --- show -------------------------------------------------------------------------------------------------------------


def show(path: Path, of: Sequence[str] = (), count: int = 3, picture: Path | None = None) -> None:
    """Print what a bank holds, or which banks a folder does; draw a bank's patterns where a picture is asked for.

    Raises:
        MemoryBankError: no bank there, no such pattern, or a picture that cannot be written.
    """
    if path.is_dir():
        if of or picture:
            raise MemoryBankError(
                f"{path}: a folder; --of and --map are of one bank: {', '.join(map(str, banks_in(path)))}"
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
    """The banks of a folder, a row each."""
    table = Table(padding=(0, 1, 0, 0), pad_edge=False)
    for head in ("bank", "kind", "patterns", "studies", "fingerprint"):
        table.add_column(head, justify="right" if head in ("patterns", "studies") else "left", overflow="fold")
    for path in banks_in(folder):
        bank = banks.load(path, TO_LOOK_AT)
        studies = {study for owners in bank.study_ids for study in owners}
        table.add_row(str(path), bank.meta.kind, str(len(bank)), str(len(studies)), bank.fingerprint)
    return table


def description(bank: MemoryBank, path: Path) -> Table:
    """What a bank is and belongs to, a line a fact."""
    meta, files = bank.meta, bank_paths(path)
    studies = {study for owners in bank.study_ids for study in owners}
    patients = {subject for owners in bank.subject_ids for subject in owners}
    owners = Counter(len(set(ids)) for ids in bank.study_ids)
    several = sum(count for size, count in owners.items() if size > 1)
    facts = {
        "bank": f"{files[0]} ({sum(file.stat().st_size for file in files) / 1e6:.1f} MB), format {meta.version}",
        "kind": f"{meta.kind}, {len(bank)} patterns of {bank.width} numbers",
        "from": f"{len(studies)} studies of {len(patients)} patients, split {meta.split}",
        "owners": f"{owners[0]} patterns of nobody (disease queries), {several} of several (up to {max(owners)})",
        "chosen": f"{meta.selection}, seed {meta.seed}",
        "fingerprint": bank.fingerprint,
        "belongs to": f"encoder {meta.encoder_fingerprint}, data {meta.data_fingerprint}",
        "restricted": "yes: ids and texts must not leave this machine" if meta.restricted else "no",
    }
    table = Table(show_header=False, box=None, padding=(0, 1, 0, 0))
    for name, fact in facts.items():
        table.add_row(name, fact)
    for edit in meta.edits:
        table.add_row("edited", f"{edit.what} (before: {edit.before})")
    return table


def finding_of_pattern(bank: MemoryBank) -> torch.Tensor:
    """int64 ``[n]``: the finding a region was mined for; of a report, the one among its positive findings that fewest
    reports of the bank have ("No Finding" where it has none)."""
    if bank.meta.kind == "regions":
        return bank.findings
    positive = torch.tensor([label(text) for text in bank.texts]) == POSITIVE
    counts = positive.sum(dim=0)
    rarity = torch.where(positive, counts, len(bank) + 1)
    rarest = rarity[:, list(ABNORMAL)].argmin(dim=1)
    return torch.where(positive[:, list(ABNORMAL)].any(dim=1), rarest, NO_FINDING)


def finding_table(bank: MemoryBank, groups: torch.Tensor) -> Table:
    """Patterns and studies of each finding, and whether like lies near like."""
    said, caption = ("region of", None)
    if bank.meta.kind == "reports":
        said, caption = "rarest finding", f"as the {LABELER} labeler reads the texts"
    table = Table(padding=(0, 1, 0, 0), pad_edge=False, caption=caption)
    for head in (said, "patterns", "studies", "mean score", "neighbour alike", "chance"):
        table.add_column(head, justify="left" if head == said else "right", no_wrap=head == said)
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
    """Of each finding, the owned pattern with the highest score (the first among equals)."""
    best: dict[int, int] = {}
    for row, group in enumerate(groups.tolist()):
        if bank.study_ids[row] and (group not in best or bank.scores[row] > bank.scores[best[group]]):
            best[group] = row
    return [best[group] for group in sorted(best)]


def asked_rows(bank: MemoryBank, of: Sequence[str]) -> list[int]:
    """Rows of a bank, given by number or by the study that owns them.

    Raises:
        MemoryBankError: neither a row nor an owner.
    """
    rows = []
    for name in of:
        owned = [row for row, studies in enumerate(bank.study_ids) if name in studies]
        if not owned and name.isdecimal() and int(name) < len(bank):
            owned = [int(name)]
        if not owned:
            raise MemoryBankError(f"--of {name}: no study that owns a pattern, and no row (0 to {len(bank) - 1})")
        rows += owned
    return rows


def named(bank: MemoryBank, row: int, groups: torch.Tensor) -> str:
    """One pattern in one line."""
    studies = bank.study_ids[row]
    owner = f"study {studies[0]}" if studies else "disease query"
    more = f" and {len(studies) - 1} more" if len(studies) > 1 else ""
    finding = FINDINGS[int(groups[row])] if groups[row] >= 0 else "no finding"
    return f"{row}: {finding}, {owner}{more}" + (f": {bank.texts[row]}" if bank.texts[row] else "")


# --- check, merge -----------------------------------------------------------------------------------------------------


class Guards(NamedTuple):
    """What a bank is checked against."""

    held_out: HeldOut | Unchecked
    encoder_fingerprint: str | None
    data_fingerprint: str | None


def guards(data: str | None, stage1: Path | None, kind: str) -> Guards:
    """Fingerprints and evaluation ids from prepared data and a stage-1 checkpoint, as far as they are given."""
    held_out: HeldOut | Unchecked = Unchecked("no prepared data were named")
    encoder = data_fingerprint = None
    if data is not None:
        folder = PreparedFolder(data)
        data_fingerprint, held_out = folder.card["fingerprint"], folder.held_out()
    if stage1 is not None:
        from lightning_modules.stage1_checkpoint import load_stage1  # seconds to import

        found = load_stage1(stage1)
        encoder = found.fingerprint if kind == "regions" else None
        data_fingerprint = data_fingerprint or found.data_fingerprint
    return Guards(held_out, encoder, data_fingerprint)


def check(path: Path, data: str | None = None, stage1: Path | None = None) -> MemoryBank:
    """Read a bank with every guard that can be had, and say which.

    Raises:
        MemoryBankError: what :func:`ammrg.memory.bank.load` refuses.
    """
    kind = banks.load(path, TO_LOOK_AT).meta.kind
    given = guards(data, stage1, kind)
    bank = banks.load(path, **given._asdict())
    encoder = given.encoder_fingerprint
    if kind == "reports":
        encoder = f"{bank.meta.encoder_fingerprint}, of a text encoder: no checkpoint has it; merge compares two banks'"
    none = "none of {} owns a pattern"
    studies = patients = ""
    if isinstance(given.held_out, HeldOut):
        studies, patients = (none.format(len(ids)) for ids in given.held_out)
    console = Console()
    console.print(f"{bank_paths(path)[1]}: whole, {len(bank)} patterns, fingerprint {bank.fingerprint}", soft_wrap=True)
    for guard, against in (
        ("evaluation studies", studies),
        ("evaluation patients", patients),
        ("data", given.data_fingerprint or ""),
        ("encoder", encoder or ""),
        *(
            (("their text is another's", recallable_texts(bank, PreparedFolder(data))),)
            if data and kind == "reports"
            else ()
        ),
    ):
        console.print(
            f"  {guard}: {against or 'not checked (--data and --stage1 say against what)'}",
            highlight=False,
            soft_wrap=True,
        )
    return bank


def recallable_texts(bank: MemoryBank, folder: PreparedFolder) -> str:
    """Of each split, how many studies may recall their report's very text because another patient's report says the
    same (``exclude_self: patient``, as everywhere by default): in training as in evaluation, or a network learns to
    copy what it will not find."""
    row_of = {text: row for row, text in enumerate(bank.texts)}
    told = []
    for split in folder.card["counts"]:
        index = folder.index(split)
        known = [i for i, report in enumerate(index.reports) if report in row_of]
        masks = owners_mask(bank, [index.study_ids[i] for i in known], [index.subject_ids[i] for i in known], "patient")
        found = sum(bool(mask[row_of[index.reports[i]]]) for i, mask in zip(known, masks, strict=True))
        told.append(f"{split} {found} of {len(index.reports)} ({found / len(index.reports):.1%})")
    return ", ".join(told)


def merge(path: Path, other: Path, out: Path, data: str | None = None, stage1: Path | None = None) -> MemoryBank:
    """Write the bank with the other's new studies, where no guard refuses either.

    Raises:
        MemoryBankError: banks that do not fit, what :func:`ammrg.memory.bank.load` refuses of the first, an evaluation
            study among the owners of the second, or no prepared data to tell; nothing is written then.
    """
    before = banks.load(path, TO_LOOK_AT)
    given = guards(data or data_of_bank(path, before), stage1, before.meta.kind)
    bank, added = banks.load(path, **given._asdict()), banks.load(other, given.held_out)
    merged = extend(bank, added)
    banks.save(merged, out)
    back = banks.load(out, **given._asdict())
    print(f"{bank_paths(out)[0]}: {merged.meta.edits[-1].what}")
    print(f"fingerprint {bank.fingerprint} -> {back.fingerprint}, {len(bank)} -> {len(back)} patterns")
    return back


def data_of_bank(path: Path, bank: MemoryBank) -> str:
    """The prepared data of the run in whose ``memory`` folder a bank lies, as the run's settings name them.

    Raises:
        MemoryBankError: they cannot be found, or are not those that the bank belongs to.
    """
    run = bank_paths(path)[1].absolute().parent.parent
    for stage in ("stage2", "memory", "stage1"):
        with suppress(CheckpointError, DataError):  # this stage does not say, or says wrong
            folder: str = kept_setting(run / stage / "best.ckpt", "data", "init_args", "folder")
            if PreparedFolder(folder).card["fingerprint"] == bank.meta.data_fingerprint:
                return folder
    raise MemoryBankError(
        f"{bank_paths(path)[1]}: lies in no run whose data (fingerprint {bank.meta.data_fingerprint}) are here; name "
        "the prepared data with --data FOLDER, so that none of their validation and test studies come into the memory"
    )
