"""Addresses and tokens: nothing is sent in clear by accident."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from ammrg.archive.address import TOKEN, authorization, checked_address
from ammrg.archive.server import Archive
from ammrg.errors import ArchiveError, SettingsError


@pytest.mark.parametrize(
    "url", ["http://localhost:8042/dicom-web", "http://127.0.0.1/x", "http://[::1]:80/x", "https://pacs.example/rs/"]
)
def test_https_and_this_machine_are_allowed(url: str) -> None:
    assert checked_address(url, insecure_http=False) == url.rstrip("/")


@pytest.mark.parametrize("url", ["http://pacs.example/rs", "http://10.0.0.7:8042/rs", "http://localhost.example/rs"])
def test_plain_http_to_another_machine_must_be_asked_for(url: str) -> None:
    with pytest.raises(SettingsError, match="in clear; use https, or --insecure-http"):
        checked_address(url, insecure_http=False)
    assert checked_address(url, insecure_http=True) == url


@pytest.mark.parametrize("url", ["pacs.example", "ftp://pacs.example/x", "https:///x", "https://pacs.example/rs?a=1"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="--dicomweb: "):
        checked_address(url, insecure_http=True)


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(SettingsError, match="holds a password") as told:
        checked_address("https://me:secret@pacs.example/rs", insecure_http=False)
    assert "secret" not in str(told.value)


def test_the_token_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    assert authorization(None) is None
    monkeypatch.setenv(TOKEN, "abc")
    assert authorization(None) == "Bearer abc"
    file = tmp_path / "token"
    file.write_text("Basic bmFtZTpwYXNz\n")
    assert authorization(file) == "Basic bmFtZTpwYXNz"
    file.write_text("name:secret\n")
    with pytest.raises(SettingsError, match=r"looks like NAME:PASSWORD.* Basic, and its base64") as told:
        authorization(file)
    assert "secret" not in str(told.value)
    file.write_text("a\nb c")
    with pytest.raises(SettingsError, match="holds no token of one line"):
        authorization(file)
    with pytest.raises(SettingsError, match="cannot be read"):
        authorization(tmp_path / "gone")


def test_a_service_without_tls_is_not_called_untrusted() -> None:
    """Its answer to a TLS greeting is plain http."""
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        archive = Archive(f"https://127.0.0.1:{server.server_port}/rs")
        with pytest.raises(ArchiveError, match=r"did not answer in TLS when asked to list studies; .* plain http\?"):
            list(archive.studies("20261101"))
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (None, "no token was sent, set --token-file or AMMRG_ARCHIVE_TOKEN"),
        (
            "Basic c2VjcmV0",
            "it does not take the token that was sent (Basic ...), check --token-file or AMMRG_ARCHIVE_",
        ),
    ],
)
def test_a_refusal_says_whether_a_token_was_sent_and_where_it_is_set(header: str | None, said: str) -> None:
    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401 if self.headers["Accept"] == "application/dicom+json" else 406)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Refusing)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(ArchiveError, match=r"refused to list studies \(status 401\)") as told:
            Archive(f"http://127.0.0.1:{server.server_port}/rs", header).check()
    finally:
        server.shutdown()
        server.server_close()
    assert said in str(told.value)
    assert "c2VjcmV0" not in str(told.value)
