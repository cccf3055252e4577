"""Requests made from the service's own OpenAPI schema: every answer is one that the schema names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service.process import Process

schemathesis = pytest.importorskip("schemathesis")

from hypothesis import HealthCheck, settings  # noqa: E402
from schemathesis.specs.openapi.checks import positive_data_acceptance  # noqa: E402


@pytest.fixture(scope="module")
def served(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    process = Process(exported, tmp_path_factory.mktemp("served"))
    process.wait_until_ready()
    yield schemathesis.openapi.from_url(f"http://127.0.0.1:{process.port}/openapi.json")
    assert process.stop() == 0
    assert "failed:" not in process.text()


schema = schemathesis.pytest.from_fixture("served")


@pytest.mark.slow
@schema.parametrize()
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), database=None)
def test_every_answer_is_in_the_schema(case: Any) -> None:
    # Bytes that the schema allows are seldom a film, so what follows the schema may be refused.
    case.call_and_validate(excluded_checks=[positive_data_acceptance])
