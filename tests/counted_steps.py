"""Work counted in steps of Python, where a clock would measure the machine and its neighbours."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def counted_steps(function: Callable[[], object]) -> int:
    """How many lines of Python a call runs, those of all that it calls included: the same on every machine."""
    steps = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal steps
        steps += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return steps


def counted_calls(function: Callable[[], object]) -> int:
    """How many functions a call calls, in Python and in C, directly or not: coarser than lines, and much lighter."""
    calls = 0

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(before)
    return calls
