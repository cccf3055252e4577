"""The option that names an exported model, and what opens it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ammrg.inference.report_generator import ReportGenerator


MODEL: dict[str, Any] = {"required": True, "help": "an exported folder, or the hub id of one"}
"""``--model``; each command names the option itself, see :func:`ammrg.commands.parser.unknown_option`."""


def opener(folder: str | Path) -> Callable[[], ReportGenerator]:
    """Return what opens an exported model; only then is anything heavy imported."""

    def open_model() -> ReportGenerator:
        from ammrg.inference.report_generator import ReportGenerator

        return ReportGenerator.from_pretrained(folder)

    return open_model
