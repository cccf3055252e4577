"""What each study recalled: the folder ``recalled/`` beside reports.jsonl, one JSON Lines file for each way to recall.

``own.jsonl`` is the network's own recall, and other files are baselines. A line has the ``study_id``; ``regions``, for
each abnormal finding that stage 1 finds in the study the patterns that its query recalls; and ``reports``, what the
mean over the study's queries recalls; the strongest first. docs/recall.md shows a line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ammrg.errors import ScoringError
from ammrg.evaluation.prediction_fields import plain_text
from ammrg.evaluation.prediction_files import study_rows
from ammrg.evaluation.predictions import rows_by_id
from ammrg.evaluation.reports_meta import influence_in
from ammrg.findings import ABNORMAL, FINDINGS
from ammrg.fingerprints import file_fingerprint
from ammrg.metrics.location import ASPECTS
from ammrg.reasons import InfluenceThresholds, MemoryKind
from ammrg.text.places import Place

FOLDER, OWN = "recalled", "own"
_ABNORMAL = frozenset(FINDINGS[i] for i in ABNORMAL)


class RecalledRegion(NamedTuple):
    """A region of the memory."""

    pattern: int
    """Its row in the bank."""
    finding: str | None
    """The finding it was mined for."""
    place: Place | None
    """Where it is; None: unknown."""
    influence: float | None
    """On the report, in nats; None: not measured."""


class RecalledReport(NamedTuple):
    """A report of the memory."""

    pattern: int
    """Its row in the bank."""
    text: str
    influence: float | None
    """On the report, in nats; None: not measured."""


class StudyRecall(NamedTuple):
    """What one study recalled."""

    regions: Mapping[str, tuple[RecalledRegion, ...]]
    """Finding -> regions, strongest first."""
    reports: tuple[RecalledReport, ...]
    """Strongest first."""

    @property
    def influences(self) -> list[tuple[MemoryKind, float]]:
        """(``regions`` or ``reports``, influence) of each pattern whose influence was measured."""
        regions = [each.influence for listed in self.regions.values() for each in listed]
        reports = [each.influence for each in self.reports]
        found: dict[MemoryKind, list[float | None]] = {"regions": regions, "reports": reports}
        return [(kind, value) for kind, values in found.items() for value in values if value is not None]


class RecallFile(NamedTuple):
    """One file of the folder."""

    name: str
    studies: list[StudyRecall]
    """Of the studies to score, in their order."""
    fingerprint: str
    """Of the file's bytes."""
    limits: InfluenceThresholds | None = None
    """The influence of a reason, as ``reports.meta.json`` says; None: not known, or a baseline."""


def read_recalled(reports: Path, study_ids: Sequence[str]) -> list[RecallFile]:
    """The files of the folder ``recalled/`` beside a predictions file, the network's own first.

    Args:
        reports: the predictions file.
        study_ids: its studies.

    Returns:
        An empty list without any such file.

    Raises:
        ScoringError: there are baselines but no ``own.jsonl``, a file or ``reports.meta.json`` cannot be read, or it
            has other studies or findings than it must have.
    """
    paths = {path.stem: path for path in sorted((reports.parent / FOLDER).glob("*.jsonl"))}
    if not paths:
        return []
    if OWN not in paths:
        raise ScoringError(
            f"{reports.parent / FOLDER}: has {min(paths)}.jsonl but no {OWN}.jsonl, the network's own recall to "
            "compare it with; write the run's reports again, or remove the folder."
        )
    files = [_read(paths.pop(OWN), study_ids)._replace(limits=influence_in(reports.parent))]
    files += [_read(path, study_ids) for path in paths.values()]
    for other in files[1:]:
        for study_id, mine, theirs in zip(study_ids, files[0].studies, other.studies, strict=True):
            if extra := theirs.regions.keys() - mine.regions.keys():
                raise ScoringError(
                    f"{reports.parent / FOLDER / other.name}.jsonl: study {study_id} has regions for {min(extra)}, but "
                    f"not in {OWN}.jsonl; write both for the same findings."
                )
    return files


def _read(path: Path, study_ids: Sequence[str]) -> RecallFile:
    found: dict[str, StudyRecall] = {}
    for study_id, (where, row) in rows_by_id(study_rows(path)).items():
        regions = row.get("regions") or {}
        if not isinstance(regions, dict) or not regions.keys() <= _ABNORMAL:
            raise ScoringError(f"{where}: field 'regions' must be an object whose keys are abnormal findings.")
        found[study_id] = StudyRecall(
            {
                finding: tuple(_region(where, each) for each in _patterns(where, f"regions of {finding}", listed))
                for finding, listed in regions.items()
            },
            tuple(
                RecalledReport(each["pattern"], plain_text(where, each, "text"), _influence(where, each))
                for each in _patterns(where, "reports", row.get("reports"))
            ),
        )
    for what, ids in (("lacks", set(study_ids) - found.keys()), ("has extra", found.keys() - set(study_ids))):
        if ids:
            raise ScoringError(
                f"{path}: {what} studies, compared with the reports: {len(ids)} (first: {min(ids)}); write the run's "
                "reports again, or remove the folder."
            )
    return RecallFile(path.stem, [found[study_id] for study_id in study_ids], file_fingerprint(path))


def _patterns(where: str, what: str, value: Any) -> list[Mapping[str, Any]]:
    """The recalled patterns of a list, each an object with its row."""
    listed = [] if value is None else value
    if not isinstance(listed, list) or not all(
        isinstance(each, dict) and type(each.get("pattern")) is int for each in listed
    ):
        raise ScoringError(f"{where}: {what} must be a list of objects with 'pattern', the row in the memory bank.")
    return listed


def _region(where: str, fields: Mapping[str, Any]) -> RecalledRegion:
    finding = None if fields.get("finding") is None else plain_text(where, fields, "finding")
    return RecalledRegion(fields["pattern"], finding, _place(where, fields.get("place")), _influence(where, fields))


def _influence(where: str, fields: Mapping[str, Any]) -> float | None:
    value = fields.get("influence")
    if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
        raise ScoringError(f"{where}: field 'influence' is {value!r}; it must be a number or null.")
    return value


def _place(where: str, value: Any) -> Place | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not all(
        isinstance(value.get(aspect), list) and all(word in words for word in value[aspect])
        for aspect, words in ASPECTS.items()
    ):
        words = "; ".join(f"{aspect}: {', '.join(words)}" for aspect, words in ASPECTS.items())
        raise ScoringError(f"{where}: field 'place' is {value!r}; it must be null or have lists of words ({words}).")
    return Place(**{aspect: frozenset(value[aspect]) for aspect in ASPECTS})
