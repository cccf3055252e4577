"""The command in a process of its own: it shows the page on loopback, asks nothing of a network, and ends clean."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tiny_export import random_model, write

WATCH = """
import socket, sys
OPENED = open(sys.argv.pop(1), "a", buffering=1)
for name in ("connect", "connect_ex"):
    def watched(self, address, real=getattr(socket.socket, name)):
        OPENED.write(f"{address}\\n")
        return real(self, address)
    setattr(socket.socket, name, watched)
def named(host, *rest, real=socket.getaddrinfo, **named):
    OPENED.write(f"{(host,)}\\n")
    return real(host, *rest, **named)
socket.getaddrinfo = named
from ammrg.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
"""Runs the command, and writes down every address that it connects to or looks up."""


@pytest.fixture(scope="module")
def exported(llm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("exported") / "model", random_model(llm_folder))


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def process(exported: Path, port: int, examples: list[Path], tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    words = ["demo", "--model", str(exported), "--port", str(port), "--examples", str(examples[0].parent)]
    started = subprocess.Popen(
        [sys.executable, "-c", WATCH, str(tmp_path / "opened"), *words],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    yield started
    started.kill()
    started.wait()


def test_the_page_is_shown_asks_nothing_of_a_network_and_ends_clean(
    process: subprocess.Popen[str], port: int, tmp_path: Path
) -> None:
    assert process.stdout is not None
    said = process.stdout.readline()
    assert f"the page is at http://127.0.0.1:{port}" in said
    address = f"http://127.0.0.1:{port}"
    with urllib.request.urlopen(f"{address}/facts") as answer:
        assert [each["title"] for each in json.load(answer)["examples"]] == ["Two films", "Other"]
    with urllib.request.urlopen(urllib.request.Request(f"{address}/examples/0", method="POST")) as answer:
        key = json.load(answer)["case"]
    body = json.dumps({"data": [key, {"memories": False}, None]}).encode()
    call = urllib.request.Request(
        f"{address}/gradio_api/call/describe", body, {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(call) as answer:
        number = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{address}/gradio_api/call/describe/{number}") as events:
        lines = [line.decode() for line in events if line.startswith(b"data:")]
    assert json.loads(lines[-1].removeprefix("data:"))[0]["shown"]["title"] == "memories off"
    opened = (tmp_path / "opened").read_text().splitlines()
    assert opened
    assert {line.split(",")[0].strip("('") for line in opened} <= {"127.0.0.1", "localhost"}
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130
    left = [path for path in tmp_path.glob("ammrg-serve-*/*") if path.is_dir()]
    assert left == []
    assert not (tmp_path / ".gradio").exists()


def test_a_port_that_is_taken_is_one_sentence(exported: Path, port: int, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        done = subprocess.run(
            [sys.executable, "-m", "ammrg", "demo", "--model", str(exported), "--port", str(port)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])},
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: --port {port}: cannot be listened on")
    assert "Reading the model" not in done.stderr
