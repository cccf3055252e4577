"""The loop is killed (SIGKILL) at every step, and at random moments; each study still ends up stored once."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ammrg.archive.records import Records
from ammrg.archive.server import Archive
from tests.archive.conftest import Look, ended_by, in_child
from tests.archive.orthanc import Orthanc
from tests.dicom_studies import phantom_dicom

pytestmark = pytest.mark.slow

STEPS = ((Records, "write"), (Records, "put"), (Records, "discard"), (Archive, "fetch"), (Archive, "store"))
"""All that changes a file or the archive, and the fetching."""


def stored(orthanc: Orthanc) -> list[Counter[str]]:
    """For each study, how often it has each kind of document."""
    return [Counter(file.Modality for file in files) for files in orthanc.documents().values()]


def dies_at(step: int, before: bool) -> None:
    """Make this process kill itself before or after one of its steps."""
    count = 0

    def wrapped(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if before and count == step:
                os.kill(os.getpid(), signal.SIGKILL)
            result = original(*args, **kwargs)
            if not before and count == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    for owner, name in STEPS:
        setattr(owner, name, wrapped(getattr(owner, name)))


def test_a_study_is_stored_once_wherever_the_program_is_killed(orthanc: Orthanc, look: Look) -> None:
    points = 0
    for step in range(1, 40):
        studies = phantom_dicom(2 * step, size=48)[:1], phantom_dicom(2 * step + 1, size=48)[:1]
        results = set()
        for before, films in zip((True, False), studies, strict=True):
            orthanc.put(*films)

            def killed(step: int = step, before: bool = before) -> None:
                dies_at(step, before)
                look()

            results.add(ended_by(in_child(killed)))
            look()
            points += 1
        assert stored(orthanc) == [Counter({"SR": 1, "OT": 1})] * points
        if results == {0}:
            break
    assert results == {0}, "the last step was never reached"
    assert points >= 2 * 9  # begun, fetched, put, ready, two stored, stored, removed; and one past the end


def test_fifty_studies_and_five_kills(orthanc: Orthanc, look: Look, tmp_path: Path) -> None:
    draw = random.Random(5)
    for index in range(50):
        orthanc.put(*phantom_dicom(index, size=48, compress=index % 5 == 0))
    films = orthanc.count()
    kills = sorted(draw.sample(range(2, 90), 5))
    for documents in kills:
        child = in_child(look)
        while orthanc.count() < films + documents:
            assert os.waitpid(child, os.WNOHANG) == (0, 0), "it ended before it was killed"
            time.sleep(0.02)
        time.sleep(draw.uniform(0, 0.3))
        os.kill(child, signal.SIGKILL)
        assert ended_by(child) == -signal.SIGKILL
    look()
    assert stored(orthanc) == [Counter({"SR": 1, "OT": 1})] * 50
    assert orthanc.count() == films + 100
    assert look() == {"known": 50}
    assert not list((tmp_path / "state" / "outbox").iterdir())
