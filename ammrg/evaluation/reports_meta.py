"""``reports.meta.json``: the file beside a run's reports that says how they were made."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ammrg.errors import ScoringError
from ammrg.findings import ABNORMAL, FINDINGS
from ammrg.reasons import InfluenceThresholds

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


def influence_in(folder: Path) -> InfluenceThresholds | None:
    """The influence above which the recalled patterns of a run are called reasons.

    Args:
        folder: of the run, which holds ``reports.meta.json``.

    Returns:
        None if there is no such file or it names none, as in earlier versions.

    Raises:
        ScoringError: if the meta file cannot be read, or the field is damaged.
    """
    named = _fields(folder / META).get("influence_threshold")
    try:
        return None if named is None else InfluenceThresholds.from_json(named)
    except ValueError as error:
        raise ScoringError(f"{folder / META}: field 'influence_threshold' {error}. Write the reports again.") from error


def decoding_in(folder: Path) -> dict[str, Any] | None:
    """The settings with which a run's reports were decoded.

    Args:
        folder: of the run, which holds ``reports.meta.json``.

    Returns:
        None if there is no such file or it names none.

    Raises:
        ScoringError: if the meta file cannot be read, or the field is no object.
    """
    named = _fields(folder / META).get("decoding")
    if named is not None and not isinstance(named, dict):
        raise ScoringError(
            f"{folder / META}: field 'decoding' has {named!r}, must be an object. Write the reports again."
        )
    return named


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
