"""A real process: what it logs, how it stops, and how it comes back after kill -9."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from ammrg.notice import NOTICE
from tests.service.process import ROOT, Process
from tests.service.uploads import files, one, study
from tests.studies.study_films import FRONT, film


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Path, list[Process]]]:
    """A folder, and the processes that are started in it."""
    started: list[Process] = []
    yield tmp_path, started
    for each in started:
        if each.process.poll() is None:
            each.kill()


def folders(process: Process) -> list[Path]:
    """The folders of processes and requests in the scratch."""
    return [path for path in process.temporary.glob("ammrg-serve-*/**/*") if path.is_dir()]


def test_it_logs_nobody_finishes_when_stopped_and_comes_back_after_a_kill(
    exported: Path, place: tuple[Path, list[Process]]
) -> None:
    folder, started = place
    process = Process(exported, folder)
    started.append(process)
    assert NOTICE in process.text()
    url = f"http://127.0.0.1:{process.port}"
    early = httpx2.get(f"{url}/readyz")
    assert early.status_code in (200, 503)  # the socket is there before the model
    process.wait_until_ready()
    sent = files(family7_dcm=film("7", "1.2.7", 1, **FRONT, StudyDescription="Told7"), note_txt=b"Told7")
    text = {"indication": "Told7"}
    assert httpx2.post(f"{url}/v1/studies?name=Family7", files=sent, data=text, timeout=60).status_code == 200
    assert httpx2.post(f"{url}/v1/studies/Family7", files=sent, timeout=60).status_code == 404
    assert httpx2.post(f"{url}/v1/studies", files=files(family7_png=b"Told7"), timeout=60).status_code == 422
    assert httpx2.request("FAMILY7", f"{url}/v1/studies").status_code == 405
    log = process.text()
    assert re.search(r"POST /v1/studies 200 \d", log)
    assert not re.findall(r"(?i)family7|told7|1\.2\.7|name=", log)

    # killed while requests are read and described
    with ThreadPoolExecutor(6) as pool:
        for number in range(6):
            pool.submit(httpx2.post, f"{url}/v1/studies", files=study(number), timeout=60)
        slow = pool.submit(httpx2.post, f"{url}/v1/studies", content=trickle(), headers=MULTIPART, timeout=60)
        until = time.monotonic() + 30
        while not any(path.name == "1" for path in process.temporary.rglob("*")) and time.monotonic() < until:
            time.sleep(0.01)
        process.kill()
    assert slow.exception() is not None
    assert folders(process)

    again = Process(exported, folder)
    started.append(again)
    again.wait_until_ready()
    assert "removed what 1 killed processes left" in again.text()
    assert len(folders(again)) == 1
    url = f"http://127.0.0.1:{again.port}"
    with ThreadPoolExecutor(5) as pool:
        running = [
            pool.submit(httpx2.post, f"{url}/v1/studies", files=study(number), timeout=60) for number in range(4)
        ]
        while inside(url) < 1 and not all(each.done() for each in running):
            time.sleep(0.005)
        assert again.stop() == 0
        answers = [each.result() for each in running if each.exception() is None]
    # whoever was inside has an answer; a connection that came later was not accepted
    assert answers
    assert {answer.status_code for answer in answers} == {200}
    assert "Traceback" not in again.text()
    assert not folders(again)


MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}


def trickle() -> Iterator[bytes]:
    """The begin of an upload that never ends."""
    yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
    for _ in range(10_000):
        time.sleep(0.05)
        yield b"0" * 1000


def inside(url: str) -> float:
    found = re.search(r"^ammrg_inside_studies (\S+)", httpx2.get(f"{url}/metrics").text, re.MULTILINE)
    assert found is not None
    return float(found[1])


def test_a_caller_that_goes_frees_its_place(exported: Path, place: tuple[Path, list[Process]]) -> None:
    folder, started = place
    process = Process(exported, folder, "--batch", "1")
    started.append(process)
    process.wait_until_ready()
    url = f"http://127.0.0.1:{process.port}"
    with ThreadPoolExecutor(12) as pool:
        left = [
            pool.submit(httpx2.post, f"{url}/v1/studies", files=study(number), timeout=httpx2.Timeout(60, read=0.05))
            for number in range(12)
        ]
        assert any(isinstance(each.exception(), httpx2.ReadTimeout) for each in left)
    until = time.monotonic() + 60
    while inside(url) > 0 and time.monotonic() < until:
        time.sleep(0.05)
    assert inside(url) == 0
    assert len(folders(process)) == 1
    assert "/v1/studies 499" in process.text()
    assert httpx2.post(f"{url}/v1/studies", files=one(), timeout=60).status_code == 200


def test_a_port_that_is_taken_is_one_sentence_before_the_model_is_read(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "ammrg", "serve", "--model", str(tmp_path), "--port", str(port)],
            capture_output=True,
            text=True,
            env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
        )
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said.startswith(f"error: --host 127.0.0.1 --port {port}: cannot be listened on (Address already in use)")


@pytest.mark.slow
def test_callers_without_a_certificate_are_not_heard(exported: Path, place: tuple[Path, list[Process]]) -> None:
    folder, started = place
    for name, options in {
        "ca": ["-x509", "-subj", "/CN=test authority"],
        "server": [
            "-x509",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-subj",
            "/CN=a",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ],
        "client": ["-x509", "-CA", "ca.pem", "-CAkey", "ca.key", "-subj", "/CN=b"],
    }.items():
        made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key"]
        words = ["openssl", "req", *options, *made, "-out", f"{name}.pem", "-days", "2"]
        subprocess.run(words, cwd=folder, check=True, capture_output=True)
    tls = ["--tls-cert", "server.pem", "--tls-key", "server.key", "--client-ca", "ca.pem"]
    process = Process(exported, folder, *(str(folder / word) if word[0] != "-" else word for word in tls))
    started.append(process)
    process.wait_until_ready()
    url, ca = f"https://127.0.0.1:{process.port}/version", folder / "ca.pem"
    curl = ["curl", "-s", "--cacert", str(ca), url]
    assert subprocess.run(curl, capture_output=True).returncode != 0
    known = ["--cert", str(folder / "client.pem"), "--key", str(folder / "client.key")]
    told = subprocess.run([*curl, *known], capture_output=True, text=True)
    assert NOTICE in told.stdout, told.stderr
