"""The files of several systems, read on the studies that all of them have; what each lacks is listed."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ammrg.errors import ScoringError
from ammrg.evaluation.column_names import columns_of_reports
from ammrg.evaluation.prediction_files import AS_THEY_ARE, study_rows
from ammrg.evaluation.predictions import (
    System,
    check_references,
    lines_of,
    needed_fields,
    read_references,
    rows_by_id,
    with_references,
    with_shared_fields,
)
from ammrg.evaluation.ranking.csv_text import csv_text
from ammrg.evaluation.reports_meta import thresholds_in
from ammrg.spreadsheet_damage import changed_ids

MISSING = "missing_ids.csv"
"""The file with the ids that a system lacks, or has beyond the references."""


LEAST_COMMON = 0.5
"""The share of the wanted studies that all files must have, or nothing is ranked."""


class Difference(NamedTuple):
    """The ids of one file that are not in all."""

    name: str
    path: Path
    missing: list[str]
    """Ids that the references (without them, any of the files) have."""
    surplus: list[str]
    """Ids that the references do not have."""
    studies: int
    """Number of studies that the references (without them, all files together) have."""


class NoCommonStudyError(ScoringError):
    """No study is in all files.

    Attributes:
        differences: the ids that each file lacks, or has beyond the references.
    """

    def __init__(self, differences: Sequence[Difference], message: str) -> None:
        super().__init__(message)
        self.differences = differences


class Submissions(NamedTuple):
    """Systems on the same studies."""

    systems: list[System]
    differences: list[Difference]
    """One for each system."""


def chosen_names(paths: Sequence[Path], names: str | None) -> list[str]:
    """The systems' names: as ``--names`` lists them, else those of the files without their endings.

    Raises:
        ScoringError: if there are not as many as files, one occurs twice (whatever its capitals), or one cannot be the
            name of a file.
    """
    found = [path.stem for path in paths]
    if names is not None:
        found = [name.strip() for name in next(csv.reader([names], skipinitialspace=True), [])]
    if len(found) != len(paths):
        raise ScoringError(
            f"--names: found {len(found)} for {len(paths)} files ({', '.join(map(repr, found))}); give one for each, "
            "with commas between them, and in double quotes where a name has a comma."
        )
    # the scores of each are a file of its name, and not all systems of files tell capitals apart
    folded = [name.casefold() for name in found]
    for name in found:
        if folded.count(name.casefold()) > 1:
            ask = "give other names with --names" if names is None else "each needs a name of its own"
            raise ScoringError(f"two systems are called {name!r}; {ask}.")
        if not name or name.startswith(".") or set(name) & set('/\\:*?"<>|') or not name.isprintable():
            raise ScoringError(
                f'--names: {name!r} cannot be the name of a file; leave out / \\ : * ? " < > | and dots.'
            )
    return found


def read_submissions(
    paths: Sequence[Path],
    names: Sequence[str],
    references: Path | None,
    columns: Mapping[str, str] = AS_THEY_ARE,
) -> Submissions:
    """Read several files on the studies that all of them, and the references, have.

    Args:
        paths: predictions files; what lies beside them is not scored.
        names: one for each.
        references: the file with the references; None: each file has its own.
        columns: other names of columns, from :func:`ammrg.evaluation.column_names.parse_columns`.

    Raises:
        ScoringError: if a file cannot be read, an id occurs twice in one, no study is in all files, or two files have
            different references or patients for a study.
    """
    known = None if references is None else read_references(references, columns)
    named = columns_of_reports(columns, known is not None)
    needed = needed_fields("generated", named, patients_elsewhere=known is not None)
    files = [rows_by_id(study_rows(path, named, needed)) for path in paths]
    for path, rows in zip(paths, files, strict=True):
        if not rows:
            raise ScoringError(f"{path}: no studies; there is nothing to score.")
    wanted = set(known) if known is not None else set[str]().union(*files)
    differences = [
        Difference(name, path, sorted(wanted - rows.keys()), sorted(rows.keys() - wanted), len(wanted))
        for name, path, rows in zip(names, paths, files, strict=True)
    ]
    common = wanted.intersection(*files)
    if not common:
        firsts = "; ".join(f"{path}: {next(iter(rows))}" for path, rows in zip(paths, files, strict=True))
        there = f"; {references}: {next(iter(known), 'no study')}" if known is not None else ""
        every = wanted.union(*files)
        raise NoCommonStudyError(
            differences,
            f"no study is in all files, so nothing can be compared; the first ids are {firsts}{there}."
            f"{changed_ids(every, every)}",
        )
    systems = []
    for name, path, rows in zip(names, paths, files, strict=True):
        kept = [rows[study_id] for study_id in rows if study_id in common]
        if known is None:
            check_references(path, kept, named)
        else:
            kept = with_references(path, kept, known)
        systems.append(System("", name, path, lines_of(str(path), kept, thresholds_in(path.parent))))
    return Submissions(with_shared_fields(systems), differences)


def missing_ids(differences: Sequence[Difference]) -> str:
    """The contents of :data:`MISSING`: a line for each id that a file lacks or has beyond the references."""
    rows = [
        (each.name, str(each.path), study_id, what)
        for each in differences
        for what, ids in (("missing", each.missing), ("surplus", each.surplus))
        for study_id in ids
    ]
    return csv_text(("system", "file", "study_id", "what"), rows)


def check_same_studies(differences: Sequence[Difference], listed: Path) -> None:
    """Hold several files to the rule of one: all have the same studies.

    Args:
        differences: of the files.
        listed: the file that lists the ids, for the message.

    Raises:
        ScoringError: if a file lacks studies or has more; says how many.
    """
    parts = [
        f"{each.path} {what} {len(ids)} (first: {ids[0]})"
        for each in differences
        for what, ids in (("lacks", each.missing), ("has beyond the references", each.surplus))
        if ids
    ]
    if parts:
        surplus = any(each.surplus for each in differences)
        odd = {study_id for each in differences for study_id in (*each.missing, *each.surplus)}
        raise ScoringError(
            f"not the same studies: {'; '.join(parts)}; all are listed in {listed}. Complete the "
            f"{'files or the references' if surplus else 'files'}, or score the studies that all have with "
            f"--allow-missing.{changed_ids(odd, odd)}"
        )


def check_enough_common(differences: Sequence[Difference], common: int) -> None:
    """Refuse to rank on so few studies that one system's gaps decide which are compared.

    Args:
        differences: of the files.
        common: number of studies that all files have.

    Raises:
        ScoringError: they are fewer than :data:`LEAST_COMMON` of those that the references (without them, any of the
            files) have, naming the systems that lack most, or of those that each of the files has.
    """
    wanted = max((each.studies for each in differences), default=common)
    if common < LEAST_COMMON * wanted:
        worst = max(len(each.missing) for each in differences)
        names = [each for each in differences if 2 * len(each.missing) >= worst]
        lacking = " and ".join(f"{each.name} lacks {len(each.missing)}" for each in names)
        raise ScoringError(
            f"--allow-missing: only {common} of {wanted} studies are in all files ({lacking}), too few to rank all "
            f"systems; leave out {' and '.join(each.name for each in names)}, or complete it."
        )
    own = min((each.studies - len(each.missing) + len(each.surplus) for each in differences), default=common)
    if common < LEAST_COMMON * own:
        raise ScoringError(
            f"--allow-missing: each file has {own} studies or more, but only {common} are in all files and the "
            "references; look whether the references are those of these studies."
        )
