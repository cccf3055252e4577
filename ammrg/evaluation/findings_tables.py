"""The findings table of a prediction: the network's probability of each finding, and which findings are present."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ammrg.errors import ScoringError
from ammrg.evaluation.reports_meta import META
from ammrg.findings import ABNORMAL, FINDINGS
from ammrg.thresholds import is_predicted

NO_TABLE = "the predictions hold no probabilities of findings (field 'findings')"
NO_THRESHOLDS = (
    f"{META} beside the reports is missing or names no thresholds: it is written last, after the guards, and earlier "
    "versions named none; wait until the reports are finished, or write them again"
)


class FindingsTable(NamedTuple):
    """What the network that wrote a report found on the films."""

    probabilities: tuple[float, ...]
    """Of the 13 abnormal findings, in [0, 1]."""
    present: tuple[str, ...] | None
    """The names of those above their thresholds; None if the thresholds are not known."""


def findings_table(where: str, value: Any, thresholds: Mapping[str, float] | None) -> FindingsTable | None:
    """The table in the field ``findings`` of a study; None if the field is no such table.

    Args:
        where: the study's place, for messages.
        value: the field: ``{finding: probability}``. Something else under this name, such as the findings section of a
            report, is no table.
        thresholds: finding -> threshold; None: not known.

    Raises:
        ScoringError: if a table lacks one of the 13 abnormal findings, or has no probability for it.
    """
    if not isinstance(value, Mapping) or not any(name in value for name in FINDINGS):
        return None
    names = [FINDINGS[i] for i in ABNORMAL]
    for name in names:
        found = value.get(name)
        if not isinstance(found, int | float) or isinstance(found, bool) or not 0 <= found <= 1:
            raise ScoringError(
                f"{where}: field 'findings' has {found!r} for {name}; it must be a probability from 0 to 1."
            )
    present = None
    if thresholds is not None:
        present = tuple(name for name in names if is_predicted(value[name], thresholds[name]))
    return FindingsTable(tuple(float(value[name]) for name in names), present)


def present_findings(tables: Iterable[FindingsTable | None]) -> list[tuple[str, ...]] | None:
    """The findings that are present in each table; None if that is not known for all of them."""
    found = [table.present if table else None for table in tables]
    known = [each for each in found if each is not None]
    return known if len(known) == len(found) else None


def why_unknown(tables: Iterable[FindingsTable | None]) -> str:
    """Why :func:`present_findings` knows nothing, in words."""
    found = list(tables)
    lacking = sum(table is None for table in found)
    if 0 < lacking < len(found):
        return f"{lacking} of {len(found)} studies have no probabilities of findings (field 'findings')"
    return NO_TABLE if lacking else NO_THRESHOLDS
