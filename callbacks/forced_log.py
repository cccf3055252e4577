"""Records which differences ``--force-resume`` accepted, on the screen and in the run's folder."""

from __future__ import annotations

from pathlib import Path


def note_forced(folder: Path, what: str) -> None:
    """Print a warning, and add it as a line to ``folder/forced.log``."""
    print(f"warning: --force-resume: {what}")
    with (folder / "forced.log").open("a") as log:
        log.write(f"--force-resume: {what}\n")
