"""Fifty odd studies in the loop, which is killed five times: each is described once, or set aside with a reason."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import time
from collections import Counter
from pathlib import Path

import pydicom
import pytest

from ammrg.documents.statement import MANUFACTURER, plain
from ammrg.inference.report_generator import ReportGenerator
from tests.archive.conftest import Look, ended_by, in_child
from tests.archive.odd_studies import ODDITIES, STUDIES, OddStudy, odd_studies
from tests.archive.orthanc import Orthanc
from tests.archive.test_loop import texts
from tests.dicom_studies import uids_of

pytestmark = pytest.mark.slow

KILLS = 5


def ours(orthanc: Orthanc) -> dict[str, list[pydicom.Dataset]]:
    """StudyInstanceUID -> the documents of this program."""
    found: dict[str, list[pydicom.Dataset]] = {}
    for uid, files in orthanc.documents().items():
        if own := [each for each in files if each.Manufacturer == MANUFACTURER]:
            found[uid] = own
    return found


def evidence(report: pydicom.Dataset) -> set[str]:
    """SOPInstanceUIDs of the films that a structured report is about."""
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    return {
        str(film.ReferencedSOPInstanceUID)
        for series in study.ReferencedSeriesSequence
        for film in series.ReferencedSOPSequence
    }


def record(state: Path, study: OddStudy) -> dict[str, object]:
    """What the loop noted of a study."""
    key = hashlib.sha256(study.uid.encode()).hexdigest()[:16]
    noted: dict[str, object] = json.loads((state / "studies" / f"{key}.json").read_text())
    return noted


def kill_at_random_moments(orthanc: Orthanc, look: Look, state: Path, studies: list[OddStudy]) -> None:
    """Start the loop five times; kill it (SIGKILL) some way further on each time; films are sent again in between."""
    draw = random.Random(11)
    for begun in sorted(draw.sample(range(3, STUDIES - 6), KILLS)):
        child = in_child(look)
        while len(list((state / "studies").glob("*.json"))) < begun:
            assert os.waitpid(child, os.WNOHANG) == (0, 0), "it ended before it was killed"
            time.sleep(0.02)
        time.sleep(draw.uniform(0, 0.5))
        os.kill(child, signal.SIGKILL)
        assert ended_by(child) == -signal.SIGKILL
        for study in draw.sample(studies, 5):
            orthanc.put(*study.films)


def test_fifty_odd_studies_and_five_kills(
    orthanc: Orthanc, look: Look, generator: ReportGenerator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began, studies, state = time.monotonic(), odd_studies(), tmp_path / "state"
    assert len({study.uid for study in studies}) == STUDIES
    assert len({study.oddity for study in studies}) == len(ODDITIES)
    for study in studies:
        orthanc.put(*study.films)
    films = orthanc.count()
    kill_at_random_moments(orthanc, look, state, studies)
    lines: list[str] = []
    look(lines.append)
    found = ours(orthanc)
    describable = [study for study in studies if study.described]
    assert set(found) == {study.uid for study in describable}
    compared: set[str] = set()
    for study in describable:
        assert Counter(each.Modality for each in found[study.uid]) == {"SR": 1, "OT": 1}, study.oddity
        (report,) = (each for each in found[study.uid] if each.Modality == "SR")
        assert evidence(report) == study.described, study.oddity
        for each in found[study.uid]:
            assert (str(each.PatientID), str(each.PatientName)) == study.patient, study.oddity
        if study.oddity in compared:  # describing all of them again would take as long as the loop
            continue
        compared.add(study.oddity)
        about = {uid: film for film in reversed(study.films) if (uid := uids_of([film])[0]) in study.described}
        alone = generator.describe(list(about.values()))
        assert plain(alone.report) in texts(report), study.oddity
    for study in studies:
        noted = record(state, study)
        if study.described:
            assert noted["outcome"] == "stored", (study.oddity, noted)
        else:
            assert noted["outcome"] == "set aside", (study.oddity, noted)
            assert re.search(study.reason, str(noted["reason"])), (study.oddity, noted)
    assert orthanc.count() == films + 2 * len(describable)
    assert look() == {"known": STUDIES}
    assert orthanc.count() == films + 2 * len(describable)
    assert not list((state / "outbox").iterdir())
    said = "\n".join(lines)
    assert not [study.oddity for study in studies if study.uid in said]
    assert not [word for word in ("P00", "Person", "Same", "HAND") if word in said]
    with capsys.disabled():
        print(f"\n{STUDIES} studies, {KILLS} kills: {time.monotonic() - began:.0f} s")
