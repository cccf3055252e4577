"""One tiny exported model for all tests of a module, and a service of it within the test's process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from ammrg.inference.description import Description
from ammrg.inference.prepared_study import PreparedStudy
from ammrg.inference.report_generator import ReportGenerator
from ammrg.service.app import build
from ammrg.service.desk import Desk
from ammrg.service.limits import Limits
from ammrg.service.scratch import Scratch
from tests.tiny_export import random_model, write

Start = Callable[..., TestClient]


@pytest.fixture(scope="module")
def exported(llm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("exported") / "model", random_model(llm_folder))


@pytest.fixture(scope="module")
def model(exported: Path) -> ReportGenerator:
    return ReportGenerator.from_pretrained(exported, device="cpu")


@pytest.fixture
def start(model: ReportGenerator, tmp_path: Path) -> Iterator[Start]:
    """Start services with given limits, each with its scratch in ``tmp_path / "scratch"``."""
    (tmp_path / "scratch").mkdir()

    with ExitStack() as stack:

        def started(
            token: bytes | None = None, ready: bool = True, model: ReportGenerator = model, **limits: float
        ) -> TestClient:
            failures: list[Exception] = []
            desk = Desk(lambda: model, Limits()._replace(**limits), Scratch(tmp_path / "scratch"), failures.append)
            client = TestClient(build(desk, "# A card", token), "http://127.0.0.1", raise_server_exceptions=False)
            stack.enter_context(client)
            while ready and client.get("/readyz").status_code != 200:
                assert not failures
                time.sleep(0.02)
            return client

        yield started


@pytest.fixture
def client(start: Start) -> TestClient:
    return start()


class Gate:
    """Holds the thread of the model until it is opened, and counts the studies that were begun."""

    def __init__(self) -> None:
        self.opened, self.reached, self.begun = threading.Event(), threading.Event(), 0


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch, start: Start) -> Iterator[Gate]:
    """A gate before the real work; it opens at the end of the test."""
    found, real = Gate(), ReportGenerator.describe_prepared

    def gated(self: ReportGenerator, studies: Sequence[PreparedStudy], **how: Any) -> list[Description]:
        if studies[0].views[0].path != "film 1":  # that is the film described before the service is ready
            found.begun += len(studies)
            found.reached.set()
            assert found.opened.wait(60)
        return real(self, studies, **how)

    monkeypatch.setattr(ReportGenerator, "describe_prepared", gated)
    yield found
    found.opened.set()
