"""The files around a run's memory banks: the banks of its folds, and the pages that show a bank's regions."""

from __future__ import annotations

from pathlib import Path

from ammrg.errors import MemoryBankError
from ammrg.memory.bank_files import bank_paths, banks_in


def banks_of_folds(folder: Path) -> list[Path]:
    """Paths of the banks that were mined by fold, for the run that owns a ``memory`` folder."""
    places = sorted(folder.absolute().parent.glob("cross_fit_*/fold-*/memory"))
    return [bank for place in places if any(place.glob("*.json")) for bank in banks_in(place)]


def banks_around(folder: Path) -> list[Path]:
    """Paths of the banks in a folder and of the folds of its run."""
    return [*banks_in(folder), *banks_of_folds(folder)]


def bare(path: Path) -> Path:
    """A bank's path without the suffix; the path may be given with one."""
    return bank_paths(path)[1].with_suffix("")


def pages(path: Path) -> Path:
    """The folder with pages of a bank's regions, which show films and study ids (callbacks/mining_report.py)."""
    return path.with_name(f"{path.name}_report")


def remove_pages(path: Path) -> None:
    """Remove the pages of a bank that has changed.

    ``report.json`` stays: it names nobody, and make reads it as the sign that the regions are mined.

    Raises:
        MemoryBankError: a page cannot be removed.
    """
    shown = sorted(pages(path).glob("*.png"))
    try:
        for page in shown:
            page.unlink()
    except OSError as error:
        raise MemoryBankError(
            f"{page}: cannot be removed ({error}), but shows films of the withdrawn studies; remove it yourself"
        ) from error
    if shown:
        print(f"{pages(path)}: {len(shown)} pages removed; they showed films of the memory as it was")
