"""The archive's address and what proves who asks: checked before anything is sent."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from urllib.parse import urlsplit

from ammrg.errors import SettingsError

TOKEN = "AMMRG_ARCHIVE_TOKEN"
"""Environment variable with the token."""


def checked_address(url: str, insecure_http: bool) -> str:
    """Check the address of a DICOMweb service and return it without a slash at its end.

    Plain http is for this machine alone, because films and reports would cross the network in clear.

    Args:
        url: such as ``https://archive.example/dicom-web``.
        insecure_http: allow plain http to another machine.

    Raises:
        SettingsError: it is no http or https address, holds a password, or is plain http to another machine.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        found = "" if "@" in url else f"found {url!r}, "  # what may be a password is not repeated
        raise SettingsError(f"--dicomweb: {found}not the address of a DICOMweb service; give http(s)://HOST/PATH")
    if parts.username or parts.password:
        raise SettingsError(f"--dicomweb: the address holds a password; leave it out and set {TOKEN}")
    if parts.query or parts.fragment:
        raise SettingsError("--dicomweb: the address has a ? or #; give the service's address alone")
    if parts.scheme == "http" and not _is_this_machine(parts.hostname) and not insecure_http:
        raise SettingsError(
            f"--dicomweb: {parts.hostname} is another machine, and plain http would send films and reports in clear; "
            "use https, or --insecure-http where the network itself is encrypted"
        )
    return url.rstrip("/")


def authorization(token_file: Path | None) -> str | None:
    """Return the content of the Authorization header, from a file or the environment; None: nothing is set.

    A value of one word is a bearer token; one of two words, such as ``Basic bmFtZTpwYXNz``, is sent as it is.

    Raises:
        SettingsError: the file cannot be read, or holds no token, such as a name and password as they are.
    """
    if token_file is None:
        value = os.environ.get(TOKEN, "").strip()
        if not value:
            return None
    else:
        try:
            value = token_file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise SettingsError(f"{token_file}: cannot be read ({type(error).__name__}); name a text file") from error
    words = value.split()
    if not 1 <= len(words) <= 2 or not value.isascii() or not value.isprintable():
        raise SettingsError(f"{token_file or TOKEN}: holds no token of one line")
    if len(words) == 1 and ":" in value:  # which no bearer token has (RFC 6750, 2.1)
        raise SettingsError(
            f"{token_file or TOKEN}: looks like NAME:PASSWORD, no token; write two words: Basic, and its base64"
        )
    return f"Bearer {value}" if len(words) == 1 else value


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
