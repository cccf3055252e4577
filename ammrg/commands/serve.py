"""``ammrg serve``: a service on this machine that describes studies over HTTP."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ammrg.commands.argument_types import port, positive
from ammrg.commands.exported_model import MODEL, opener
from ammrg.commands.parser import CommandParser
from ammrg.notice import NOTICE

if TYPE_CHECKING:
    from ammrg.inference.report_generator import ReportGenerator

DESCRIPTION = f"Describe studies over HTTP (docs/service.md). {NOTICE}"
MIB = 2**20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the service's arguments; the caller adds those that name the model."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=port, default=8000, help="0 is a free one (default: %(default)s)")
    parser.add_argument("--token-file", type=Path, help="file with the token that callers must send")
    parser.add_argument("--tls-cert", type=Path, help="the service's certificate (PEM)")
    parser.add_argument("--tls-key", type=Path, help="its key (PEM)")
    parser.add_argument("--client-ca", type=Path, help="callers must have a certificate of this authority (PEM)")
    parser.add_argument("--batch", type=positive, help="most studies that are described in one pass (default: 8)")
    parser.add_argument("--requests", type=positive, help="most studies in the service at once (default: 32)")
    parser.add_argument("--seconds", type=positive, help="longest time of a request (default: 120)")
    parser.add_argument("--upload-mib", type=positive, help="most MiB of an upload (default: 256)")
    parser.add_argument("--unpacked-mib", type=positive, help="most MiB of an archive, once unpacked (default: 512)")
    parser.add_argument("--files", type=positive, help="most files of an upload or its archive (default: 64)")
    parser.add_argument("--pixels", type=positive, help="most pixels of a study's films (default: 128,000,000)")


def serve(options: argparse.Namespace, open_model: Callable[[], ReportGenerator], card: str | None) -> int:
    """Serve until the process is told to stop.

    Args:
        options: the arguments of :func:`add_arguments`.
        open_model: opens and checks the model.
        card: text of the model card.

    Returns:
        0.

    Raises:
        AMMRGError: see :func:`ammrg.service.serving.serve`.
    """
    from ammrg.service import serving
    from ammrg.service.access import Tls
    from ammrg.service.limits import Limits

    mib = {"upload_bytes": options.upload_mib, "unpacked_bytes": options.unpacked_mib}
    plain = {name: getattr(options, name) for name in ("batch", "requests", "seconds", "files", "pixels")}
    given = {name: value and value * MIB for name, value in mib.items()} | plain
    serving.serve(
        open_model,
        host=options.host,
        port=options.port,
        token_file=options.token_file,
        tls=Tls(options.tls_cert, options.tls_key, options.client_ca),
        limits=Limits(**{name: value for name, value in given.items() if value is not None}),
        card=card,
    )
    return 0


def main(argv: Sequence[str]) -> int:
    """``ammrg serve --model FOLDER``.

    Returns:
        0.

    Raises:
        SettingsError: the options would open the service to anybody, or a file cannot be used.
        CheckpointError, MemoryBankError: the model cannot be opened.
    """
    parser = CommandParser(prog="ammrg serve", description=DESCRIPTION)
    add_arguments(parser)
    parser.add_argument("--model", **MODEL)
    options = parser.parse_args(argv)
    from ammrg.inference.hub import local_folder
    from ammrg.inference.model_folder import card_of

    folder = local_folder(options.model, None)
    return serve(options, opener(folder), card_of(folder))
