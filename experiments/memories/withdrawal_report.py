"""The printed report of a withdrawal: what left each bank, and which other banks still hold the studies."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ammrg.errors import MemoryBankError
from ammrg.memory import bank_files as banks
from ammrg.memory.bank import MemoryBank
from ammrg.memory.bank_files import bank_paths
from ammrg.memory.held_out import Unchecked
from experiments.memories.memory_folder import pages
from experiments.memories.traces import Traces, studies_of

TO_SEARCH = Unchecked("it is only searched for withdrawn studies")


def print_withdrawal(
    before: MemoryBank,
    after: MemoryBank,
    path: Path,
    found: Traces,
    studies: Collection[str],
    patients: Collection[str],
) -> None:
    """Print what left one bank and what was found of it afterwards, one fact per line.

    Args:
        before: the bank before the withdrawal.
        after: the bank as it was read again.
        path: where ``after`` was read.
        found: the traces in it.
        studies: ids of the studies that the user named.
        patients: ids of the patients that the user named.
    """
    removed = len(before) - len(after)
    lost = sum(len(owners) for owners in before.study_ids) - sum(len(owners) for owners in after.study_ids)
    withdrawn = [
        f"{noun} {', '.join(sorted(set(ids)))}" for noun, ids in (("study", studies), ("patient", patients)) if ids
    ]
    mentioned = [f"{row} (study {after.study_ids[row][0]})" for row in found.mentions]
    facts = {
        "bank": str(bank_paths(path)[0]),
        "withdrawn": "; ".join(withdrawn),
        "patterns": f"{len(before)} -> {len(after)}: {removed} removed",
        "owners": f"{lost} removed, {lost - removed} of them from patterns that others own too",
        "ids left": f"{found.ids} of the withdrawn are named in {bank_paths(path)[1].name}",
        "patterns left": f"{found.patterns} that no remaining study owns",
        "texts left": f"{found.texts} that no remaining study owns",
        "fingerprint": f"{before.fingerprint} -> {after.fingerprint}",
    }
    if mentioned:
        facts["mentioned"] = f"in the text of {', '.join(mentioned)}: read it; if it is about them, withdraw it too"
    table = Table(show_header=False, box=None, padding=(0, 1, 0, 0))
    for name, fact in facts.items():
        table.add_row(name, fact)
    Console().print(table)


def print_what_is_left(
    found: Mapping[Path, Traces], around: Collection[Path], studies: Collection[str], patients: Collection[str]
) -> None:
    """Print the banks near the changed ones that still hold the studies or patients, then the result.

    Args:
        found: path of each changed bank -> the traces in it.
        around: paths of the banks that were read, and of those beside the changed ones.
        studies: ids of all withdrawn studies.
        patients: ids of the withdrawn patients.
    """
    left = []
    for path in sorted(set(around) - set(found)):
        try:
            bank = banks.load(path, TO_SEARCH)
        except MemoryBankError as error:
            left.append(f"not searched: {error}")
            continue
        if studies_of(bank, patients) or any(set(owners) & set(studies) for owners in bank.study_ids):
            shown = f", and {pages(path)} may show their films" if any(pages(path).glob("*.png")) else ""
            left.append(f"{bank_paths(path)[1]}: still holds their patterns{shown}")
    for line in left:
        print(line)
    but = (
        " from the changed banks, but not from what is named above"
        if left or any(traces.mentions for traces in found.values())
        else ""
    )
    print(
        f"gone{but}. This command does not reach copies elsewhere: exports, backups, reports written with them, "
        "weights trained with the old bank"
    )
