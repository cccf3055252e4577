"""Who may ask: this machine alone by default; others with a bearer token or a TLS client certificate."""

from __future__ import annotations

import hmac
import ipaddress
from pathlib import Path
from typing import NamedTuple

from ammrg.errors import SettingsError

LEAST = 16
"""Fewest characters of a token."""
OPEN = ("/healthz", "/readyz")
"""Paths that need no token: they tell nothing but whether the service runs."""


class Tls(NamedTuple):
    """Files (PEM) for TLS."""

    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    """Authority whose certificates callers must have; None: callers need none."""


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine and reached by nobody else."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_token(path: Path) -> bytes:
    """Read a token: one word of a file.

    Raises:
        SettingsError: the file cannot be read, or holds no word of at least :data:`LEAST` ASCII characters.
    """
    try:
        words = path.read_text(encoding="utf-8").split()
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path}: cannot be read ({type(error).__name__}); name a text file with a token"
        ) from error
    if len(words) != 1 or len(words[0]) < LEAST or not words[0].isascii():
        raise SettingsError(
            f"{path}: must hold one word of at least {LEAST} ASCII characters; make one with openssl rand -hex 32"
        )
    return words[0].encode()


def check_access(host: str, token: bytes | None, tls: Tls) -> None:
    """Refuse to listen where callers could be anybody.

    Raises:
        SettingsError: another host than loopback without a token or client certificates, a file that does not exist, or
            only a part of what TLS needs.
    """
    for option, path in (("--tls-cert", tls.certificate), ("--tls-key", tls.key), ("--client-ca", tls.client_ca)):
        if path is not None and not path.is_file():
            raise SettingsError(f"{option} {path}: no such file")
    if (tls.certificate is None) != (tls.key is None):
        raise SettingsError("--tls-cert and --tls-key belong together; give both")
    if tls.client_ca is not None and tls.certificate is None:
        raise SettingsError(
            "--client-ca asks callers for certificates, which needs TLS; give --tls-cert and --tls-key too"
        )
    if not is_loopback(host) and token is None and tls.client_ca is None:
        raise SettingsError(
            f"--host {host}: other machines could send films and read reports; give --token-file, or --client-ca with "
            "--tls-cert and --tls-key"
        )


def is_allowed(path: str, authorization: bytes, token: bytes | None) -> bool:
    """Tell whether a request may be answered.

    Args:
        path: that it asks for.
        authorization: its Authorization header.
        token: of the service; None: nobody needs one.
    """
    if token is None or path in OPEN:
        return True
    scheme, _, given = authorization.partition(b" ")
    # Compared in constant time: how long it takes does not tell how much of a guess is right.
    return hmac.compare_digest(given.strip(), token) and scheme.lower() == b"bearer"


def names_this_machine(host: bytes) -> bool:
    """Tell whether a Host header names loopback.

    A page in a browser on this machine can send requests to it under a name of its own (DNS rebinding).
    """
    name = host.decode("latin-1")
    name = name[: name.find("]") + 1] if name.startswith("[") else name.partition(":")[0]
    return is_loopback(name.lower())


def sent_by_another_page(origin: str, fetch_site: str) -> bool:
    """Tell whether a web page from elsewhere sent a request, which browsers say in these headers.

    Such a page cannot read the answer, but it could keep the model busy.

    Args:
        origin: the Origin header; '' = none, as other programs send.
        fetch_site: the Sec-Fetch-Site header; '' = none.
    """
    if fetch_site not in ("", "none", "same-origin"):
        return True
    return origin != "" and not names_this_machine(origin.partition("://")[2].encode("latin-1"))
