"""How a command ends: its exit status, and one sentence on stderr where something went wrong."""

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
        goes_on: what is said after "stopped" of a command that can go on.

    Returns:
        0 on success, or what the command returns; 1 where the user can cure what went wrong (the sentence says how);
        130 after Ctrl-C.
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
    """Run one command within another; Ctrl-C ends both.

    Returns:
        Whether it went well; a command that failed has said why.

    Raises:
        KeyboardInterrupt: it was stopped.
    """
    status = exit_status(command)
    if status == STOPPED:
        raise KeyboardInterrupt
    return status == 0
