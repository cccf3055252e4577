"""Studies and patients withdrawn from the memory banks of a run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ammrg.errors import MemoryBankError
from ammrg.memory import bank_files as banks
from ammrg.memory.bank import MemoryBank
from ammrg.memory.bank_files import bank_paths, banks_in
from ammrg.memory.editing import withdraw
from ammrg.memory.held_out import Unchecked
from experiments.memories.memory_folder import banks_around, bare, pages, remove_pages
from experiments.memories.traces import Traces, find_traces, studies_of
from experiments.memories.withdrawal_report import print_what_is_left, print_withdrawal

TO_PRUNE = Unchecked("studies are withdrawn from it, which also mends a leak")


def prune(path: Path, studies: Sequence[str], patients: Sequence[str], out: Path | None = None) -> dict[Path, Traces]:
    """Remove studies and patients from a bank, or from every bank of a folder, and check that they are gone.

    Each changed bank is written, read again and searched. In place, the pages that show its regions (``NAME_report/``)
    are removed too; with a run's ``memory`` folder, the banks of the run's folds (``cross_fit_K/``) change with it.

    Args:
        path: a bank, or a folder of banks.
        studies: ids of studies.
        patients: ids of patients, who leave with all their studies.
        out: path of the new bank, or folder of the new banks; None changes them in place.

    Returns:
        Path of each changed bank -> the traces found in it.

    Raises:
        MemoryBankError: an id owns nothing, or a bank would be empty (nothing is changed then); or traces are left.
    """
    if not (studies or patients):
        raise MemoryBankError("prune: name the studies or patients to withdraw: --study ID or --patient ID")
    whole_folder = path.is_dir()
    sources = (banks_around(path) if out is None else banks_in(path)) if whole_folder else [bare(path)]
    before = {source: banks.load(source, TO_PRUNE) for source in sources}
    check_known(before, path, studies, patients)
    after = {source: withdraw(bank, studies, patients) for source, bank in before.items()}
    for source, bank in after.items():
        if len(bank) == 0:
            files = " and ".join(map(str, bank_paths(source)))
            raise MemoryBankError(
                f"{source}: nobody else owns a pattern of it, so that an empty memory bank would be left. Nothing was "
                f"changed; delete {files}{f' and {pages(source)}' if pages(source).is_dir() else ''} yourself"
            )
    gone = set(studies).union(*(studies_of(bank, patients) for bank in before.values()))
    found: dict[Path, Traces] = {}
    for source in sources:
        target = source if out is None else bare(out / source.name if whole_folder else out)
        if after[source] is before[source]:
            print(f"{bank_paths(source)[1]}: holds nothing of them and stays as it is")
            continue
        if target == source:
            remove_pages(source)
        banks.save(after[source], target)
        back = banks.load(target, TO_PRUNE)
        found[target] = find_traces(before[source], back, target, gone, patients)
        print_withdrawal(before[source], back, target, found[target], studies, patients)
    if stained := [str(target) for target, traces in found.items() if not traces.is_gone]:
        raise MemoryBankError(
            f"{', '.join(stained)}: traces are left (see above): do not use this memory; build it again from data "
            "without those studies"
        )
    nearby = {other for place in {target.parent for target in found} for other in banks_around(place)}
    print_what_is_left(found, set(sources) | nearby, gone, patients)
    return found


def check_known(
    before: Mapping[Path, MemoryBank], path: Path, studies: Collection[str], patients: Collection[str]
) -> None:
    """Refuse an id that owns nothing, so that a mistyped id does not pass for a withdrawal.

    Args:
        before: path of each bank -> the bank.
        path: what the user named.
        studies: ids of studies.
        patients: ids of patients.

    Raises:
        MemoryBankError: names the unknown ids.
    """
    for kind, ids, owners in (
        ("study", studies, [bank.study_ids for bank in before.values()]),
        ("patient", patients, [bank.subject_ids for bank in before.values()]),
    ):
        known = {name for rows in owners for row in rows for name in row}
        if unknown := sorted(set(ids) - known):
            here = "these banks" if len(before) > 1 else "this bank"
            raise MemoryBankError(f"{path}: {kind} {', '.join(unknown)} owns no pattern of {here}; nothing was changed")
