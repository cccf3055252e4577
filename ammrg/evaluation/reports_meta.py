"""``reports.meta.json``: the file beside a run's reports that says how they were made."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ammrg.errors import ScoringError
from ammrg.findings import ABNORMAL, FINDINGS

META = "reports.meta.json"


def dataset_beside(reports: Path) -> tuple[str | None, str]:
    """(the data set that ``reports.meta.json`` beside the reports names, or None; where its name comes from)."""
    return named_beside(reports, "dataset"), f"as {META} says"


def named_beside(reports: Path, field: str) -> str | None:
    """A field of ``reports.meta.json`` beside the reports as text; None if there is no such file or field."""
    named = _fields(reports.parent / META).get(field)
    return None if named is None else str(named)


def thresholds_in(folder: Path) -> dict[str, float] | None:
    """Finding -> the probability above which the network that wrote the reports counts it as present.

    Args:
        folder: of the run, which holds ``reports.meta.json``.

    Returns:
        All 13 abnormal findings; None if there is no such file or it names no thresholds, as in earlier versions.

    Raises:
        ScoringError: if the meta file cannot be read, or lacks one of the findings.
    """
    named = _fields(folder / META).get("thresholds")
    if named is None:
        return None
    for name in (FINDINGS[i] for i in ABNORMAL):
        value = named.get(name) if isinstance(named, Mapping) else None
        if not isinstance(value, int | float) or isinstance(value, bool) or math.isnan(value):
            raise ScoringError(
                f"{folder / META}: field 'thresholds' has {value!r} for {name}; it must be a number. Write the "
                "reports again."
            )
    return {FINDINGS[i]: float(named[FINDINGS[i]]) for i in ABNORMAL}


def _fields(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ScoringError(f"{path}: not JSON ({error}); write the reports again.") from error
    if not isinstance(fields, dict):
        raise ScoringError(
            f"{path}: found {type(fields).__name__}; it must be one JSON object. Write the reports again."
        )
    return fields
