"""A described study of DICOM films and its documents; the tools that judge them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ammrg.documents.source_films import SourceFilms, source_films
from ammrg.documents.writing import Documents, make_documents
from ammrg.inference.description import Description
from tests.dicom_studies import phantom_dicom
from tests.tiny_export import random_model

MODEL = "0123456789abcdef"


@pytest.fixture(scope="session")
def films() -> list[bytes]:
    """A frontal and a lateral film."""
    return next(found for index in range(40) if len(found := phantom_dicom(index)) == 2)


@pytest.fixture(scope="session")
def description(llm_folder: Path, films: list[bytes]) -> Description:
    """With a place for a finding of the lung and for one that is not."""
    found = random_model(llm_folder)._replace(fingerprint=MODEL).describe(films)
    places = {"Consolidation": ("left", "right", "lower"), "Fracture": ("right", "upper")}
    probabilities = {**found.findings, "Consolidation": 0.91, "Fracture": 0.87}
    return found._replace(places=places, findings=probabilities, report="The heart is 50° 心.\x1b A fracture.")


@pytest.fixture(scope="session")
def sources(description: Description, films: list[bytes]) -> SourceFilms:
    return source_films(description, films[::-1])


@pytest.fixture(scope="session")
def documents(description: Description, sources: SourceFilms) -> Documents:
    return make_documents(description, sources, page=True)


@pytest.fixture(scope="session")
def tool() -> Callable[..., str]:
    """Run one of the DICOM tools and return what it prints."""

    def run(name: str, *words: object) -> str:
        if shutil.which(name) is None:
            package = {"dciodvfy": "dicom3tools", "dsrdump": "dcmtk"}[name]
            pytest.skip(f"{name} is not installed (Debian: apt install {package})")
        done = subprocess.run([name, *map(str, words)], capture_output=True, text=True, errors="replace")
        return done.stdout + done.stderr

    return run
