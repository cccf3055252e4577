"""A token that other users of the machine may read is told of, by each program that takes one."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import pytest
import uvicorn

from ammrg.commands import archive
from ammrg.errors import ArchiveError
from ammrg.secret_file import exposure
from ammrg.service.serving import serve


@pytest.fixture(params=[0o644, 0o640])
def token(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("0123456789abcdef0123\n")
    file.chmod(request.param)
    return file


def test_it_is_told_with_what_to_do(token: Path) -> None:
    told = exposure(token)
    if token.stat().st_mode & 0o004:
        assert told == f"{token}: every user of this machine may read this token (mode 644); chmod 600 {token}"
    else:
        assert told is None


def test_the_archive_loop_tells_it(token: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    words = ["--dicomweb", address, "--model", "no", "--state", str(tmp_path / "state"), "--once"]
    with pytest.raises(ArchiveError):
        archive.main([*words, "--token-file", str(token)])
    assert ("may read this token" in capsys.readouterr().out) == (exposure(token) is not None)


def test_the_service_tells_it(token: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(uvicorn.Server, "run", lambda server: None)
    monkeypatch.setattr("ammrg.service.serving.LOGGING", None)  # which would take the log from this test
    with caplog.at_level(logging.WARNING, "ammrg.service"):
        serve(lambda: pytest.fail("no request"), host="127.0.0.1", port=0, token_file=token)
    assert ("may read this token" in caplog.text) == (exposure(token) is not None)
