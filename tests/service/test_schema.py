"""Requests made from the service's own OpenAPI schema: every answer is one that the schema names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service.process import Process

schemathesis = pytest.importorskip("schemathesis")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from schemathesis import GenerationMode  # noqa: E402
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance  # noqa: E402


@pytest.fixture(scope="module")
def served(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    process = Process(exported, tmp_path_factory.mktemp("served"))
    process.wait_until_ready()
    yield schemathesis.openapi.from_url(f"http://127.0.0.1:{process.port}/openapi.json")
    assert process.stop() == 0
    assert "failed:" not in process.text()


@pytest.mark.slow
def test_every_answer_is_in_the_schema(served: Any) -> None:
    asked: Counter[str] = Counter()

    def ask(case: Any) -> None:
        asked[case.operation.label] += 1
        # Bytes that the schema allows are seldom a film, so what follows the schema may be refused. And fields of a
        # form have no types: what is meant as a wrong one, such as the boolean false, arrives as a text like any other.
        case.call_and_validate(excluded_checks=[positive_data_acceptance, negative_data_rejection])

    for found in served.get_all_operations():
        operation = found.ok()
        modes = list(GenerationMode) if operation.method == "post" else [GenerationMode.POSITIVE]
        for mode in modes:
            examples = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), database=None)
            examples(given(case=operation.as_strategy(generation_mode=mode))(ask))()
    routes = {f"GET {path}" for path in ("/healthz", "/readyz", "/version", "/model", "/metrics")}
    assert set(asked) == {"POST /v1/studies", *routes}
    assert asked["POST /v1/studies"] >= 40
