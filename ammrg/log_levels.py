"""Loggers of other packages, heard only from a level on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def heard_from(level: int, *names: str) -> Iterator[None]:
    """Run code in which loggers pass on only what is at least this grave; their levels are restored.

    Args:
        level: such as ``logging.ERROR``.
        names: of the loggers.
    """
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(level)
        yield
    finally:
        for logger, own in zip(loggers, before, strict=True):
            logger.setLevel(own)
