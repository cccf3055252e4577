"""The process of the service: its log, its socket, its start and its end."""

from __future__ import annotations

import logging
import signal
import ssl
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from ammrg.inference.report_generator import ReportGenerator
from ammrg.notice import NOTICE
from ammrg.secret_file import exposure
from ammrg.service.access import Tls, check_access, is_loopback, read_token
from ammrg.service.app import build
from ammrg.service.desk import Desk
from ammrg.service.limits import Limits
from ammrg.service.ports import check_port
from ammrg.service.scratch import Scratch

LOG = logging.getLogger("ammrg.service")
OURS: dict[str, Any] = {"handlers": ["screen"], "level": "INFO", "propagate": False}
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(message)s", "datefmt": "%Y-%m-%d %H:%M:%S"}},
    "handlers": {
        "screen": {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stderr"},
        "nowhere": {"class": "logging.NullHandler"},
    },
    # Libraries log values that they stumble over, such as a patient's name: only ours and uvicorn's lines are written.
    "root": {"handlers": ["nowhere"], "level": "CRITICAL"},
    "loggers": {"ammrg.service": OURS, "uvicorn.error": OURS},
}


def serve(
    open_model: Callable[[], ReportGenerator],
    *,
    host: str,
    port: int,
    token_file: Path | None = None,
    tls: Tls | None = None,
    limits: Limits | None = None,
    card: str | None = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C; running requests are finished.

    Args:
        open_model: opens and checks the model.
        host: to listen on.
        port: to listen on; 0: a free one, which the log names.
        token_file: with the token that callers must send.
        tls: files for TLS.
        limits: of the service.
        card: text of the model card.

    Raises:
        SettingsError: the host is not loopback and callers could be anybody, a file cannot be used, or the port is
            taken.
        CheckpointError, MemoryBankError: the model cannot be opened.
    """
    tls = tls or Tls()
    token = None if token_file is None else read_token(token_file)
    check_access(host, token, tls)
    check_port(host, port, f"--host {host} --port {port}")
    scratch = Scratch()
    failures: list[Exception] = []

    def failed(error: Exception) -> None:
        failures.append(error)
        server.should_exit = True

    desk = Desk(open_model, limits or Limits(), scratch, failed)
    app = build(desk, card, token, only_loopback=is_loopback(host) and token is None)
    # Without httptools and uvloop installed, uvicorn is pure Python; its own access log would show query strings.
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=LOGGING,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            ssl_certfile=tls.certificate,
            ssl_keyfile=tls.key,
            ssl_ca_certs=None if tls.client_ca is None else str(tls.client_ca),
            ssl_cert_reqs=ssl.CERT_NONE if tls.client_ca is None else ssl.CERT_REQUIRED,
        )
    )
    warnings.simplefilter("ignore")  # for the same reason as the log of libraries
    LOG.info(NOTICE)
    if token_file is not None and (exposed := exposure(token_file)) is not None:
        LOG.warning(exposed)
    if scratch.removed:
        LOG.info("removed what %d killed processes left in %s", scratch.removed, scratch.shared)
    if not is_loopback(host) and tls.certificate is None:
        LOG.warning("without --tls-cert, films, reports and the token cross the network in clear")
    # uvicorn stops at the first signal, and sends it again at the end, when all is closed.
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        server.run()
    finally:
        signal.signal(signal.SIGTERM, before)
    if failures:
        raise failures[0]
