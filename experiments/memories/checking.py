"""Memory banks checked for evaluation studies, and extended with the studies of another bank."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from ammrg.errors import CheckpointError, DataError, MemoryBankError
from ammrg.memory import bank_files as banks
from ammrg.memory.bank import MemoryBank, owners_mask
from ammrg.memory.bank_files import bank_paths
from ammrg.memory.editing import extend
from ammrg.memory.held_out import HeldOut, Unchecked
from datamodules.prepared import PreparedFolder
from experiments.memories.showing import TO_LOOK_AT
from experiments.runs.run import Run
from experiments.runs.stage import Stage


class Guards(NamedTuple):
    """What a bank is checked against; the fields are arguments of :func:`ammrg.memory.bank_files.load`."""

    held_out: HeldOut | Unchecked
    encoder_fingerprint: str | None
    data_fingerprint: str | None


def guards(data: str | None, stage1: Path | None, kind: str) -> Guards:
    """Collect what a bank can be checked against.

    Args:
        data: prepared folder, for its evaluation studies and fingerprint; None checks neither.
        stage1: stage-1 checkpoint, for the fingerprints of encoder and data; None checks neither.
        kind: of the bank, ``regions`` or ``reports``; only regions belong to a stage 1.
    """
    held_out: HeldOut | Unchecked = Unchecked("no prepared data were given")
    encoder = data_fingerprint = None
    if data is not None:
        folder = PreparedFolder(data)
        data_fingerprint, held_out = folder.card["fingerprint"], folder.held_out()
    if stage1 is not None:
        from lightning_modules.stage1_checkpoint import load_stage1  # takes seconds to import

        found = load_stage1(stage1)
        encoder = found.fingerprint if kind == "regions" else None
        data_fingerprint = data_fingerprint or found.data_fingerprint
    return Guards(held_out, encoder, data_fingerprint)


def check(path: Path, data: str | None = None, stage1: Path | None = None) -> MemoryBank:
    """Read a bank with every check that the arguments allow, and print the checks.

    Args:
        path: the bank.
        data: see :func:`guards`.
        stage1: see :func:`guards`.

    Returns:
        The bank.

    Raises:
        MemoryBankError: :func:`ammrg.memory.bank_files.load` refuses the bank.
    """
    kind = banks.load(path, TO_LOOK_AT).meta.kind
    given = guards(data, stage1, kind)
    bank = banks.load(path, **given._asdict())
    encoder = given.encoder_fingerprint
    if kind == "reports":
        encoder = f"{bank.meta.encoder_fingerprint}, a text encoder that no checkpoint holds; merge compares it"
    none = "none of the {} owns a pattern"
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
            (("same text as another patient's", recallable_texts(bank, PreparedFolder(data))),)
            if data and kind == "reports"
            else ()
        ),
    ):
        console.print(
            f"  {guard}: {against or 'not checked (give --data or --stage1)'}",
            highlight=False,
            soft_wrap=True,
        )
    return bank


def recallable_texts(bank: MemoryBank, folder: PreparedFolder) -> str:
    """Count, for each split, the studies that may retrieve their own report's text from another patient's pattern.

    A study's own patterns and its patient's are masked (``exclude_self: patient``, the default), but another patient's
    report may have the same text. If such texts were more frequent in training than in evaluation, a network would
    learn to copy what it will not find.

    Returns:
        The counts in words, for instance ``train 12 of 240 (5.0%), val ...``.
    """
    row_of = {text: row for row, text in enumerate(bank.texts)}
    counts = []
    for split in folder.card["counts"]:
        index = folder.index(split)
        known = [i for i, report in enumerate(index.reports) if report in row_of]
        masks = owners_mask(bank, [index.study_ids[i] for i in known], [index.subject_ids[i] for i in known], "patient")
        found = sum(bool(mask[row_of[index.reports[i]]]) for i, mask in zip(known, masks, strict=True))
        counts.append(f"{split} {found} of {len(index.reports)} ({found / len(index.reports):.1%})")
    return ", ".join(counts)


def merge(path: Path, other: Path, out: Path, data: str | None = None, stage1: Path | None = None) -> MemoryBank:
    """Extend a bank with the new studies of another, and write the result.

    Args:
        path: the bank to extend.
        other: the bank of new studies.
        out: path of the extended bank.
        data: see :func:`guards`; None takes the data of the run that ``path`` belongs to.
        stage1: see :func:`guards`.

    Returns:
        The extended bank.

    Raises:
        MemoryBankError: the banks do not fit, :func:`ammrg.memory.bank_files.load` refuses one, an evaluation study
            owns a pattern, or there are no prepared data to check this; nothing is written then.
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
    """Find the prepared data of a bank through the settings of the run in whose ``memory`` folder it is.

    Args:
        path: of the bank.
        bank: the bank, which names the fingerprint of its data.

    Raises:
        MemoryBankError: the data are not found, or the bank belongs to others.
    """
    run = Run(bank_paths(path)[1].absolute().parent.parent)
    for stage in (run.stage2, Stage(run.memory), run.stage1):
        with suppress(CheckpointError, DataError):  # this stage has no settings, or the data are not there
            folder = run.find(stage.setting("data", "init_args", "folder"))
            if PreparedFolder(folder).card["fingerprint"] == bank.meta.data_fingerprint:
                return folder
    raise MemoryBankError(
        f"{bank_paths(path)[1]}: its data (fingerprint {bank.meta.data_fingerprint}) were not found through a run; "
        "name the prepared data with --data FOLDER, so that none of their validation and test studies enters the memory"
    )
