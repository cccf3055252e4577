"""Banks checked against the studies they must not hold, and joined."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from ammrg.errors import CheckpointError, DataError, MemoryBankError
from ammrg.memory import bank as banks
from ammrg.memory.bank import MemoryBank, bank_paths, owners_mask
from ammrg.memory.editing import extend
from ammrg.memory.held_out import HeldOut, Unchecked
from datamodules.prepared import PreparedFolder
from experiments.memories.showing import TO_LOOK_AT
from experiments.runs.run import Run
from experiments.runs.stage import Stage


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
    run = Run(bank_paths(path)[1].absolute().parent.parent)
    for stage in (run.stage2, Stage(run.memory), run.stage1):
        with suppress(CheckpointError, DataError):  # this stage does not say, or says wrong
            folder = run.find(stage.setting("data", "init_args", "folder"))
            if PreparedFolder(folder).card["fingerprint"] == bank.meta.data_fingerprint:
                return folder
    raise MemoryBankError(
        f"{bank_paths(path)[1]}: lies in no run whose data (fingerprint {bank.meta.data_fingerprint}) are here; name "
        "the prepared data with --data FOLDER, so that none of their validation and test studies come into the memory"
    )
