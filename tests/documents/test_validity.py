"""Independent programs judge the DICOM documents: dciodvfy (dicom3tools) and dsrdump (dcmtk)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ammrg.documents.source_films import source_films
from ammrg.documents.writing import MAPS, PAGE, REPORT, Documents, make_documents
from ammrg.inference.description import Description
from tests.dicom_studies import uids_of
from tests.documents.test_source_films import retagged


def errors(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("Error")]


@pytest.mark.parametrize("name", [REPORT, MAPS, PAGE])
def test_dciodvfy_finds_no_error(name: str, documents: Documents, tool: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(documents.dicom[name])
    said = tool("dciodvfy", tmp_path / name)
    assert said.split()[0] in ("EnhancedSR", "SCImage", "EncapsulatedPDF")
    assert errors(said) == []


@pytest.mark.parametrize("name", [REPORT, MAPS, PAGE])
def test_dciodvfy_finds_no_error_where_the_films_say_little(
    name: str, description: Description, films: list[bytes], tool: Callable[..., str], tmp_path: Path
) -> None:
    bare = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate")
    poor = [retagged(film, remove=(*bare, "StudyTime", "BurnedInAnnotation", "PatientOrientation")) for film in films]
    assert uids_of(poor) == uids_of(films)
    made = make_documents(description, source_films(description, poor), page=True)
    (tmp_path / name).write_bytes(made.dicom[name])
    assert errors(tool("dciodvfy", tmp_path / name)) == []


def test_dciodvfy_sees_what_is_wrong(documents: Documents, tool: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / MAPS).write_bytes(retagged(documents.dicom[MAPS], remove=("ConversionType",)))
    assert errors(tool("dciodvfy", tmp_path / MAPS))


def test_dsrdump_reads_the_report(documents: Documents, tool: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / REPORT).write_bytes(documents.dicom[REPORT])
    said = tool("dsrdump", tmp_path / REPORT)
    assert "Enhanced SR Document" in said
    assert "UNVERIFIED" in said
    assert '(consolidation,99AMMRG,"Consolidation")' in said
    assert '(,,"Probability")="0.9100"' in said
    assert not [line for line in said.splitlines() if line.startswith("E:")]
