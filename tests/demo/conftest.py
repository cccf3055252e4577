"""One tiny model for the tests of this folder, its desk and its routes: it writes the report that it recalls."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ammrg.demo.serving import SETTINGS

os.environ.update(SETTINGS)  # before gradio is imported

from ammrg.demo.app import build
from ammrg.demo.desk import Desk
from ammrg.findings import FINDINGS
from ammrg.imaging.processor import FilmProcessor
from ammrg.inference.report_generator import ReportGenerator
from ammrg.operating_points import SETTINGS as DIAL
from ammrg.operating_points import FindingCurve, OperatingCurve
from ammrg.reasons import InfluenceThresholds
from ammrg.service.scratch import Scratch
from tests.studies.study_films import picture
from tests.tiny_stage2 import copying

LIMITS = InfluenceThresholds(None, 0.5, 8, 0.05)
RISING = FindingCurve(list(DIAL), list(DIAL), 0, None, None)
CURVE = OperatingCurve(8, [0.0] * len(DIAL), None, None, dict.fromkeys(FINDINGS, RISING))
"""At each setting of the dial, the threshold is the setting."""


@pytest.fixture(scope="session")
def model(llm_folder: Path) -> ReportGenerator:
    network = copying(
        llm_folder, 3
    )  # it recalls "Edema on the left.", and without memory it has nothing to say it from
    return ReportGenerator(network, FilmProcessor(48), "hirescam", "phantom", None, LIMITS, "f" * 16, CURVE)


@pytest.fixture(scope="session")
def desk(model: ReportGenerator) -> Iterator[Desk]:
    made = Desk(model)
    yield made
    made.close()


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("examples")
    for number, name in enumerate(("1 Two films", "2 Other")):
        (folder / name).mkdir()
        (folder / name / "1 frontal.png").write_bytes(picture(10 + number))
    (folder / "1 Two films" / "2 lateral.png").write_bytes(picture(12))
    (folder / "about.txt").write_text("made up\n")
    return sorted(path for path in folder.iterdir() if path.is_dir())


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Scratch]:
    made = Scratch(tmp_path)
    yield made
    made.close()


@pytest.fixture
def client(desk: Desk, scratch: Scratch, examples: list[Path]) -> TestClient:
    return TestClient(build(desk, scratch, examples[0].parent), "http://127.0.0.1")
