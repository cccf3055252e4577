"""The held-out studies against which a stage 2 without a data module checks its memories."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ammrg.memory.held_out import HeldOut, Unchecked

_GIVEN: ContextVar[HeldOut | Unchecked | None] = ContextVar("held_out", default=None)


@contextmanager
def memories_without(held_out: HeldOut | Unchecked) -> Iterator[None]:
    """While this context is open, stage 2 accepts only memories that contain none of these studies.

    This is not a setting of the module: it would be written to config.yaml, where it can go out of date.
    """
    token = _GIVEN.set(held_out)
    try:
        yield
    finally:
        _GIVEN.reset(token)


def given() -> HeldOut | Unchecked:
    """The argument of the open :func:`memories_without`.

    Raises:
        RuntimeError: no such context is open, which is a programming error.
    """
    if (held_out := _GIVEN.get()) is None:
        raise RuntimeError("stage 2 is opened without a data module: name the held-out studies by memories_without()")
    return held_out
