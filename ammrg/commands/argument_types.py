"""Types of command-line arguments for argparse, and an option that several commands have."""

from __future__ import annotations

import argparse
from typing import Any

from ammrg import operating_points
from ammrg.errors import SettingsError


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number of at least 1")
    return int(text)


def port(text: str) -> int:
    """A port; 0 is a free one."""
    if not (text.isdecimal() and int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"{text!r}: must be a port, 0 to 65535")
    return int(text)


def operating_point(text: str) -> float:
    """A setting of the dial between sensitivity and precision."""
    try:
        return operating_points.operating_point(text)
    except SettingsError as error:
        raise argparse.ArgumentTypeError(str(error).partition(": ")[2]) from None


DIAL: dict[str, Any] = {
    "type": operating_point,
    "default": operating_points.BALANCED,
    "metavar": "SETTING",
    "help": f"{operating_points.HELP} (default: balanced)",
}
"""``--operating-point``; each command names the option itself, see :func:`ammrg.commands.parser.unknown_option`."""
