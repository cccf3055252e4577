"""A real process of the service, for tests and the benchmark's."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
LISTENS = re.compile(r"Uvicorn running on https?://[\d.]+:(\d+)")


class Process:
    """``ammrg serve`` on a free port.

    Args:
        model: exported folder.
        folder: for its log and its temporary files.
        words: more of its options.
    """

    def __init__(self, model: Path, folder: Path, *words: str) -> None:
        self.temporary, self.log = folder / "tmp", folder / "log.txt"
        self.temporary.mkdir(exist_ok=True)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.temporary), "OMP_NUM_THREADS": "1"}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ammrg", "serve", "--model", str(model), "--port", "0", *words],
                stdout=log,
                stderr=log,
                env=environment,
            )
        self.port = int(self.wait_for(LISTENS)[1])

    def wait_for(self, pattern: re.Pattern[str], seconds: float = 900) -> re.Match[str]:
        """Wait until the log has a line."""
        until = time.monotonic() + seconds
        while not (found := pattern.search(self.text())):
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < until, self.text()
            time.sleep(0.05)
        return found

    def wait_until_ready(self) -> None:
        self.wait_for(re.compile(r"ready: model"))

    def text(self) -> str:
        """What the process printed."""
        return self.log.read_text()

    def stop(self) -> int:
        """Send SIGTERM and wait for the end."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.process.kill()
        self.process.wait()
