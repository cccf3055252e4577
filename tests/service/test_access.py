"""Who may ask the service, and what it keeps on disk."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ammrg.__main__ import main
from ammrg.errors import SettingsError
from ammrg.notice import NOTICE
from ammrg.service.access import Tls, check_access, is_loopback, names_this_machine, read_token
from ammrg.service.scratch import LOCK, Scratch
from tests.service.conftest import Start

TOKEN = b"0123456789abcdef0123"


def test_a_token_is_needed_where_the_service_has_one(start: Start) -> None:
    client = start(token=TOKEN)
    for path in ("/version", "/model", "/metrics", "/openapi.json"):
        for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN.decode()}"}):
            answer = client.get(path, headers=given)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert answer.json()["notice"] == NOTICE
        assert client.get(path, headers={"Authorization": f"Bearer {TOKEN.decode()}"}).status_code == 200
    assert client.post("/v1/studies", content=b"x").status_code == 401
    assert [client.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]


def test_a_request_under_another_name_is_refused(client: TestClient) -> None:
    for host, status in (("evil.example", 403), ("localhost:8000", 200), ("[::1]:8000", 200), ("127.0.0.1", 200)):
        assert client.get("/version", headers={"Host": host}).status_code == status


def test_a_page_of_another_server_is_refused(client: TestClient) -> None:
    for sent in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert client.get("/version", headers=sent).status_code == 403
        assert client.post("/v1/studies", headers=sent).status_code == 403
    for sent in ({"Origin": "http://127.0.0.1:8000"}, {"Sec-Fetch-Site": "none"}):
        assert client.get("/version", headers=sent).status_code == 200


def test_names_of_this_machine() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "127.9.9.9")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "localhost.example", "")] == [False] * 5
    assert not names_this_machine(b"")
    assert not names_this_machine(b"127.0.0.1.example")


def test_another_host_needs_a_token_or_client_certificates(tmp_path: Path) -> None:
    pem = tmp_path / "a.pem"
    pem.touch()
    check_access("127.0.0.1", None, Tls())
    check_access("0.0.0.0", TOKEN, Tls())
    check_access("0.0.0.0", None, Tls(pem, pem, pem))
    for host, tls, words in (
        ("0.0.0.0", Tls(), "--host 0.0.0.0: other machines"),
        ("10.0.0.1", Tls(pem, pem), "--host 10.0.0.1: other machines"),
        ("127.0.0.1", Tls(pem), "belong together"),
        ("127.0.0.1", Tls(client_ca=pem), "needs TLS"),
        ("127.0.0.1", Tls(pem, tmp_path / "gone"), "gone: no such file"),
    ):
        with pytest.raises(SettingsError, match=words):
            check_access(host, None, tls)


def test_the_command_refuses_before_it_reads_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--model", str(tmp_path), "--host", "0.0.0.0"]) == 1
    assert "--host 0.0.0.0: other machines could send films and read reports" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["serve", "--model", str(tmp_path), "--port", "70000"])
    assert "must be a port" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "short", "two words of enough length", "ü" * 20])
def test_a_token_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content)
    with pytest.raises(SettingsError, match="must hold one word of at least 16"):
        read_token(tmp_path / "token")
    (tmp_path / "token").write_text(f"{TOKEN.decode()}\n")
    assert read_token(tmp_path / "token") == TOKEN


def test_leftovers_are_removed_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    running = Scratch(tmp_path)
    shared = running.shared
    left = shared / "left"
    left.mkdir()
    (left / LOCK).touch()
    (left / "film").write_bytes(b"x")
    (shared / "unlocked").mkdir()
    with running.folder() as folder:
        (folder / "film").write_bytes(b"x")
        again = Scratch(tmp_path)
        assert again.removed == 2
        assert (folder / "film").exists()
    assert not folder.exists()
    assert set(shared.iterdir()) == {running.own, again.own}
    with suppress(ZeroDivisionError), again.folder() as folder:
        (folder / "film").write_bytes(b"x")
        _ = 1 / 0
    assert not folder.exists()
    running.close()
    again.close()
    assert list(shared.iterdir()) == []
    assert shared.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_may_open_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / f"ammrg-serve-{os.getuid()}"
    shared.mkdir(mode=0o755)
    with pytest.raises(SettingsError, match="nobody else may open"):
        Scratch(tmp_path)
    shared.rmdir()
    shared.symlink_to(tmp_path)
    with pytest.raises(SettingsError, match="nobody else may open"):
        Scratch(tmp_path)
    with pytest.raises(SettingsError, match="cannot be made"):
        Scratch(tmp_path / "gone")


def test_a_lock_is_held_by_its_process(tmp_path: Path) -> None:
    running = Scratch(tmp_path)
    with (running.own / LOCK).open() as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    running.close()
