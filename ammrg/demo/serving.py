"""The process of the page: loaded, shown on loopback, and closed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from ammrg.demo.desk import Desk
from ammrg.demo.examples import example_folders
from ammrg.errors import SettingsError
from ammrg.inference.report_generator import ReportGenerator
from ammrg.notice import NOTICE
from ammrg.service.ports import check_port
from ammrg.service.scratch import Scratch

HOST = "127.0.0.1"
SETTINGS = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SHARE": "False",
    "GRADIO_MCP_SERVER": "False",
    "GRADIO_SSR_MODE": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""Gradio reads these at import and at start: nothing is reported, shared or fetched."""


def show(open_model: Callable[[], ReportGenerator], port: int, examples: Path | None = None) -> None:
    """Show the page until SIGTERM or Ctrl-C.

    Args:
        open_model: opens and checks the model.
        port: to listen on; 0: a free one.
        examples: folder of studies to try; None: none.

    Raises:
        SettingsError: the port is taken.
        ReadError: the folder of examples holds none, or a film of one cannot be read.
        CheckpointError, MemoryBankError: the model cannot be opened.
    """
    os.environ.update(SETTINGS)
    example_folders(examples)  # a wrong one is an error before the model is read, and so is a taken port
    check_port(HOST, port, f"--port {port}")
    from ammrg.demo.app import build  # imports gradio, which reads the settings

    print(f"{NOTICE} Reading the model, checking its files ...", file=sys.stderr, flush=True)
    desk, scratch = Desk(open_model()), Scratch()
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        app = build(desk, scratch, examples)
        try:
            _, url, _ = app.launch(
                server_name=HOST,
                server_port=port or None,  # None: the first free one from 7860
                share=False,
                inbrowser=False,
                quiet=True,
                enable_monitoring=False,
                ssr_mode=False,
                mcp_server=False,
                prevent_thread_lock=True,
            )
        except OSError as error:
            # taken since it was looked at
            raise SettingsError(f"--port {port}: cannot be listened on; another program may: give another") from error
        print(f"the page is at {url} (Ctrl-C ends it)", flush=True)
        signal.pause()
    finally:
        signal.signal(signal.SIGTERM, before)
        scratch.close()
        desk.close()


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
