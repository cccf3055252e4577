"""The end of a command: its exit status, and one sentence on stderr after an error."""

from __future__ import annotations

import sys
from collections.abc import Callable

from ammrg.errors import AMMRGError

STOPPED = 130
"""Exit status after Ctrl-C, or a cluster's signal."""


def exit_status(command: Callable[[], int | None], *, goes_on: str = "") -> int:
    """Run a command; an error of this project becomes a sentence on stderr.

    Args:
        command: the call.
        goes_on: text printed after "stopped", for a command that a later call can continue.

    Returns:
        0 on success, or what the command returns; 1 after an error of this project (the sentence says what to do); 130
        after Ctrl-C.
    """
    try:
        return int(command() or 0)
    except AMMRGError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nstopped{goes_on}", file=sys.stderr)
        return STOPPED


def succeeds(command: Callable[[], int | None]) -> bool:
    """Run one command inside another; Ctrl-C ends both.

    Returns:
        Whether it succeeded; if not, its error is already printed.

    Raises:
        KeyboardInterrupt: if the command was stopped.
    """
    status = exit_status(command)
    if status == STOPPED:
        raise KeyboardInterrupt
    return status == 0
