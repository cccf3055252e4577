"""Whether a port can be listened on, asked before a model is read."""

from __future__ import annotations

import socket

from ammrg.errors import SettingsError


def check_port(host: str, port: int, named: str) -> None:
    """Refuse a place that cannot be listened on.

    Args:
        host: name or address.
        port: 0 is any free one.
        named: the place, in the words of the command's options.

    Raises:
        SettingsError: another program listens there, or the place is none of this machine's.
    """
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, number) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as uvicorn does
            probe.bind(address)
            probe.listen()
    except OSError as error:
        raise SettingsError(f"{named}: cannot be listened on ({error.strerror}); give another") from error
