"""Against which studies a network without a data module checks the memories it opens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ammrg.memory.held_out import HeldOut, Unchecked

_GIVEN: ContextVar[HeldOut | Unchecked | None] = ContextVar("held_out", default=None)


@contextmanager
def memories_without(held_out: HeldOut | Unchecked) -> Iterator[None]:
    """Checkpoints of stage 2 that are opened meanwhile take memories that hold none of these. A setting of the module
    could not say so: it would stand in config.yaml, where it can go stale."""
    token = _GIVEN.set(held_out)
    try:
        yield
    finally:
        _GIVEN.reset(token)


def given() -> HeldOut | Unchecked:
    """What :func:`memories_without` was told.

    Raises:
        RuntimeError: nothing; a slip of the caller's.
    """
    if (held_out := _GIVEN.get()) is None:
        raise RuntimeError("stage 2 is opened without a data module: say with memories_without() whom to hold out")
    return held_out
