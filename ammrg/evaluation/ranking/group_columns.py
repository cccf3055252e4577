"""The columns by which studies are grouped: ``--by sex,view``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from ammrg.errors import ScoringError
from ammrg.evaluation.column_names import own_names
from ammrg.evaluation.prediction_files import study_rows
from ammrg.evaluation.predictions import Line, rows_by_id

MOST_GROUPS = 20
"""Most different values of a column."""
NOT_GIVEN = "not given"
OF_PATIENTS = {"sex", "gender", "patientsex", "ethnicity", "race"}
"""Columns that have one value for a patient, in small letters and without marks; a view or an age may have several."""


def group_cells(
    by: Sequence[str], paths: Sequence[Path], columns: Mapping[str, str], studies: Collection[str]
) -> dict[str, dict[str, str]]:
    """Column -> study id -> its value as text; an empty or absent one is :data:`NOT_GIVEN`.

    Args:
        by: names of columns; each is taken from the first of the files that has it.
        paths: the references file if there is one, then the first system's.
        columns: other names of columns, as for reading the files.
        studies: the ids of the scored studies.

    Raises:
        ScoringError: if no file has a column, or it has more than :data:`MOST_GROUPS` values.
    """
    files = [rows_by_id(study_rows(path, columns)) for path in paths]
    fields = {column: field for field, column in columns.items()}
    there = [list(dict.fromkeys(name for _, row in rows.values() for name in row)) for rows in files]
    found = {}
    for column in by:
        field = fields.get(column, column)
        which = next((i for i, names in enumerate(there) if field in names), None)
        if which is None:
            has = "; ".join(f"{path} has {own_names(names, columns)}" for path, names in zip(paths, there, strict=True))
            raise ScoringError(f"--by {column}: there is no such column; {has}.")
        rows = files[which]
        values = {study_id: _as_text(rows[study_id][1].get(field)) for study_id in studies}
        if len(set(values.values())) > MOST_GROUPS:
            raise ScoringError(
                f"--by {column}: {len(set(values.values()))} different values in {paths[which]}; name a column with at "
                f"most {MOST_GROUPS}, or make bands of these (such as 60-69) in the table."
            )
        found[column] = values
    return found


def changing_patients(cells: Mapping[str, Mapping[str, str]], lines: Iterable[Line]) -> list[str]:
    """Sentences on patients with several values of a column of :data:`OF_PATIENTS`; a blank cell is no value.

    Args:
        cells: from :func:`group_cells`.
        lines: the studies.
    """
    found = []
    studies = list(lines)
    patients = len({line.subject_id for line in studies})
    for column, of_study in cells.items():
        if "".join(filter(str.isalpha, column.lower())) not in OF_PATIENTS:
            continue
        values: dict[str, dict[str, None]] = {}
        for line in studies:
            if of_study[line.study_id] != NOT_GIVEN:
                values.setdefault(line.subject_id, {})[of_study[line.study_id]] = None
        several = {patient: list(own) for patient, own in values.items() if len(own) > 1}
        if several:
            first, own = next(iter(several.items()))
            found.append(
                f"--by {column}: SEVERAL VALUES FOR ONE PATIENT: {len(several)} of {patients} patients have more "
                f"than one (first: {first} has {' and '.join(own)}); correct the table."
            )
    return found


def _as_text(value: object) -> str:
    return NOT_GIVEN if value is None or not str(value).strip() else str(value).strip()
