"""Concurrent requests: described together, each as if alone; bounded in number and time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import uvicorn

from ammrg.inference.description import Description
from ammrg.inference.prepared_study import PreparedStudy
from ammrg.inference.report_generator import ReportGenerator
from ammrg.networks.film_distance import film_features, fit_distance
from ammrg.reasons import InfluenceThresholds
from ammrg.service import batching
from ammrg.service.batching import Batcher
from ammrg.studies.decoding import decode_study
from ammrg.studies.grouping import study_of
from ammrg.studies.in_memory import film_source
from ammrg.types import StudyBatch
from tests.service.conftest import Gate, Start
from tests.service.test_answers import leftovers, near
from tests.service.uploads import files, one, study
from tests.studies.study_films import FRONT, SIDE, film, picture


def test_studies_described_together_are_those_described_alone(model: ReportGenerator) -> None:
    films = torch.randint(0, 256, (16, 1, 48, 48), dtype=torch.uint8)
    features = film_features(films, *model.network.classifier.encoder(films))
    distance = fit_distance(features, features)
    whole = model._replace(distance=distance, influence=InfluenceThresholds(0.01, 0.01, 4, 0.1))
    given = [
        [picture(1)],
        [film("1", "1.2.1", 1, **FRONT), film("1", "1.2.1", 2, **SIDE)],
        [picture(2), picture(3), picture(4)],
        [picture(1)],
    ]
    prepared = []
    for films in given:
        sources = [film_source(each, number) for number, each in enumerate(films, 1)]
        prepared.append(whole.prepare(decode_study(study_of(sources, [3] if len(films) == 3 else []))))
    together = [each.as_json() for each in whole.describe_prepared(prepared)]
    alone = [whole.describe_prepared([each])[0].as_json() for each in prepared]
    assert [each["distance_from_training"]["distances"] is not None for each in alone] == [True] * 4
    assert any(each["influence"] is not None for each in alone[0]["reports"])
    assert [each["report"] for each in together] == [each["report"] for each in alone]
    assert together == near(alone)
    assert len({each["report"] for each in alone}) > 1


def test_batches_are_joined_as_they_are(model: ReportGenerator) -> None:
    batches = [model.processor([np.zeros((9, 9), np.uint8)] * n, study_id=f"s{n}", indication=f"{n}") for n in (2, 1)]
    joined = StudyBatch.joined(batches)
    assert joined.study_of_view.tolist() == [0, 0, 1]
    assert joined.study_ids == ["s2", "s1"]
    assert joined.indications == ["2", "1"]
    assert len(joined.images) == 3
    assert joined.take([1]).images.equal(batches[1].images)


def test_requests_that_wait_are_described_together(start: Start, gate: Gate) -> None:
    client = start(batch=4)
    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(client.post, "/v1/studies", files=one(100))
        assert gate.reached.wait(60)
        others = [pool.submit(client.post, "/v1/studies", files=study(number)) for number in range(5)]
        while "ammrg_queue_studies 5.0" not in client.get("/metrics").text:
            time.sleep(0.02)
        gate.opened.set()
        answers = [each.result(60) for each in (first, *others)]
    assert [answer.status_code for answer in answers] == [200] * 6
    text = client.get("/metrics").text
    assert "ammrg_batch_studies_count 3.0" in text
    assert 'ammrg_batch_studies_bucket{le="1.0"} 2.0' in text
    for number, answer in enumerate(answers[1:]):
        alone = client.post("/v1/studies", files=study(number)).json()
        assert answer.json() == near(alone)
        assert answer.json()["study"]["uid"] == f"1.2.{number}"


def test_more_requests_than_may_wait_are_sent_away(start: Start, gate: Gate) -> None:
    client = start(requests=2)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(client.post, "/v1/studies", files=one(seed)) for seed in range(2)]
        while "ammrg_inside_studies 2.0" not in client.get("/metrics").text:
            time.sleep(0.02)
        refused = client.post("/v1/studies", files=one(5))
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"].startswith("2 studies wait already")
        assert client.get("/healthz").status_code == 200
        gate.opened.set()
        assert [each.result(60).status_code for each in waiting] == [200, 200]
    assert client.post("/v1/studies", files=one(5)).status_code == 200


def test_a_late_report_is_given_up_and_what_is_not_begun_is_dropped(start: Start, gate: Gate, tmp_path: Path) -> None:
    client = start(seconds=2, batch=1)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(client.post, "/v1/studies", files=one(1))
        assert gate.reached.wait(60)
        second = pool.submit(client.post, "/v1/studies", files=one(2))
        late = [first.result(60), second.result(60)]
    assert [each.status_code for each in late] == [504, 504]
    assert "not ready within 2 s" in late[0].json()["error"]
    assert leftovers(tmp_path / "scratch") == []
    gate.opened.set()
    while "ammrg_queue_studies 0.0" not in client.get("/metrics").text:
        time.sleep(0.02)
    assert gate.begun == 1


def test_an_upload_that_takes_too_long_is_given_up(start: Start, tmp_path: Path) -> None:
    client = start(seconds=1)
    server = uvicorn.Server(uvicorn.Config(client.app, port=0, lifespan="off", log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    with socket.create_connection(server.servers[0].sockets[0].getsockname()) as caller:
        caller.sendall(
            b"POST /v1/studies HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
            b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\nabc'
        )
        caller.settimeout(60)
        answer = caller.recv(10_000)
    server.should_exit = True
    thread.join()
    assert answer.startswith(b"HTTP/1.1 408")
    assert leftovers(tmp_path / "scratch") == []


def test_a_study_that_fails_does_not_fail_those_beside_it(
    start: Start, gate: Gate, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gated = ReportGenerator.describe_prepared

    def failing(self: ReportGenerator, studies: Sequence[PreparedStudy]) -> list[Description]:
        described = gated(self, studies)
        if any(view.path == "bad.png" for study in studies for view in study.views):
            raise RuntimeError("Family7 made it fail")
        return described

    client = start(batch=4)
    monkeypatch.setattr(ReportGenerator, "describe_prepared", failing)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(client.post, "/v1/studies", files=one(1))
        assert gate.reached.wait(60)
        others = [pool.submit(client.post, "/v1/studies", files=each) for each in (files(bad_png=picture(3)), one(2))]
        while "ammrg_queue_studies 2.0" not in client.get("/metrics").text:
            time.sleep(0.02)
        gate.opened.set()
        assert first.result(60).status_code == 200
        bad, good = (each.result(60) for each in others)
    assert good.status_code == 200
    assert bad.status_code == 500
    assert bad.json()["error"] == "the service failed; its log says where"
    assert "Family7" not in caplog.text
    assert "failed: RuntimeError in failing:" in caplog.text


def test_the_batcher_drops_what_was_cancelled_and_finishes_what_waits() -> None:
    hold, made, sizes = threading.Event(), [], []

    def work(given: list[int]) -> list[int]:
        assert hold.wait(30)
        made.extend(given)
        return [10 * each for each in given]

    batcher: Batcher[int, int] = Batcher(work, 2, seen=sizes.append)
    batcher.start()
    futures: list[Future[int]] = [batcher.submit(number) for number in range(5)]
    while not futures[1].running():
        time.sleep(0.01)
    assert futures[2].cancel()
    hold.set()
    batcher.close()
    assert [each.result(1) for each in futures if not each.cancelled()] == [0, 10, 30, 40]
    assert made == [0, 1, 3, 4]
    assert sizes == [2, 2]


def test_a_batch_waits_for_studies_that_are_being_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "ARRIVING", 60.0)
    sizes: list[int] = []
    batcher: Batcher[int, int] = Batcher(list, 8, seen=sizes.append, arriving=lambda waiting: waiting < 2)
    batcher.start()
    first = batcher.submit(1)
    time.sleep(10 * batching.GATHERING)
    second = batcher.submit(2)
    assert (first.result(60), second.result(60)) == (1, 2)
    batcher.close()
    assert sizes == [2]
