"""Cells that a spreadsheet has damaged: ids read as numbers (``1.2E+10``, ``7`` for ``0007``), errors of formulas."""

from __future__ import annotations

import re
from collections.abc import Collection
from decimal import Decimal

ADVICE = "In that table format the column of ids as text, fill in the ids again, and save it"
DIGITS = 15
"""Digits that a spreadsheet keeps of a number; those after them become 0."""
_SCIENTIFIC = re.compile(r"(\d)(?:[.,](\d+))?E\+?(\d+)", re.IGNORECASE)


ERRORS = ("#REF!", "#N/A", "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!")
"""What a spreadsheet shows for a formula that failed."""


def looks_rounded(name: str) -> bool:
    """Whether an id is a number with an exponent, which several ids may have become."""
    return _SCIENTIFIC.fullmatch(name) is not None


def is_error(cell: str) -> bool:
    """Whether a cell holds the error of a formula in place of a value."""
    return cell.strip().upper() in ERRORS


def changed_ids(ids: Collection[str], others: Collection[str]) -> str:
    """A sentence on ids of one file that are another file's, read as numbers by a spreadsheet or with an ending.

    Args:
        ids: those that are not in the other file.
        others: those that are only in the other file; either file may be the damaged one.

    Returns:
        The sentence with an example, after a space; empty if there is no such pair.
    """
    found = _pair(ids, others) or _pair(others, ids)
    if found is None:
        return _ended(ids, others) or _ended(others, ids)
    damaged, whole = found
    return f" A spreadsheet seems to have changed ids into numbers: {whole!r} has become {damaged!r}. {ADVICE}."


def _ended(ids: Collection[str], bare: Collection[str]) -> str:
    """The sentence on the first id that is another without its ending, such as ``.dcm``; empty if there is none."""
    for each in sorted(ids):
        start, dot, ending = each.rpartition(".")
        if start in bare:
            return f" {each!r} seems to be {start!r}: take the ending {dot + ending!r} away from the ids of that file."
    return ""


def _pair(damaged: Collection[str], whole: Collection[str]) -> tuple[str, str] | None:
    """(a damaged id, what it was before); None if there is none."""
    numbers = sorted((each for each in whole if each.isdecimal()), reverse=True)
    rounded = {each: found for each in damaged if (found := _SCIENTIFIC.fullmatch(each))}
    shown = {_as_number(each): each for each in numbers if _as_number(each) != each}
    for decimals in {len(found[2] or "") for found in rounded.values()}:
        shown |= {f"{Decimal(each):.{decimals}e}": each for each in numbers}
    for each in sorted(damaged):
        form = each if each not in rounded else _form(rounded[each])
        if form in shown:
            return each, shown[form]
    return None


def _as_number(whole: str) -> str:
    """Digits as a spreadsheet writes them: without zeros in front, and with zeros in place of those that it drops."""
    digits = whole.lstrip("0") or "0"
    return digits[:DIGITS].ljust(len(digits), "0")


def _form(rounded: re.Match[str]) -> str:
    """A number with an exponent as Python writes it: ``1.2e+10``."""
    first, decimals, exponent = rounded.groups(default="")
    return f"{first}{'.' if decimals else ''}{decimals}e+{int(exponent)}"
