"""A model with a fingerprint, an empty archive for each test, and processes that are really killed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ammrg.archive.loop import Loop
from ammrg.archive.records import Records
from ammrg.archive.server import Archive
from ammrg.inference.report_generator import ReportGenerator
from tests.archive.orthanc import Orthanc, running_orthanc
from tests.tiny_export import random_model

SINCE = "20261101"


@pytest.fixture(scope="session")
def generator(llm_folder: Path) -> ReportGenerator:
    return random_model(llm_folder)._replace(fingerprint="0123456789abcdef")


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path) as archive:
        yield archive


Look = Callable[..., dict[str, int]]


@pytest.fixture
def look(orthanc: Orthanc, generator: ReportGenerator, tmp_path: Path) -> Look:
    """Look at the archive once, and return how many studies ended in each way."""

    def once(
        say: Callable[[str], None] = print,
        model: ReportGenerator = generator,
        page: bool = False,
        state: str = "state",
        again: str | None = None,
    ) -> dict[str, int]:
        records = Records(tmp_path / state)
        try:
            loop = Loop(Archive(orthanc.dicomweb), records, model, page=page, say=say)
            return dict(loop.look(SINCE) if again is None else loop.again(again))
        finally:
            records.close()

    return once


def in_child(work: Callable[[], object]) -> int:
    """Start ``work`` in a process of its own, forked from this one, and return the process's id."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            print(f"child: {error!r}", flush=True)
            os._exit(1)
        os._exit(0)
    return child


def ended_by(child: int) -> int:
    """Wait for a process; the signal that killed it as a negative number, or its exit status."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
