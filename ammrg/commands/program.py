"""A program of several commands, such as ``ammrg`` and ``python -m experiments``: its first word names the command.

A command's module is imported only when the command is called, so ``--help`` and an unknown command take no time.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ammrg import __version__
from ammrg.commands.exit_status import exit_status
from ammrg.commands.parser import unknown_option
from ammrg.extras import needs_extra
from ammrg.notice import NOTICE

# bitsandbytes wraps functions in torch.compile, which are not called here; that alone loads a compiler for a second.
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")


class Command(NamedTuple):
    """One command of a program."""

    module: str
    """The module with ``main(argv) -> int``; it is imported when the command is called."""
    summary: str
    """Its line in ``--help``."""
    extra: str
    """The extra with the packages that it may need beyond the light install."""
    goes_on: str = ""
    """Text printed after "stopped", for a command that a later call can continue."""
    has_more_options: bool = False
    """Whether it has options that its own source does not name."""
    is_named: bool = False
    """Whether the command's name is the first word of ``main``'s ``argv``."""


class Program(NamedTuple):
    """A program: its name and its commands."""

    name: str
    """The words that call it: ``ammrg``, or ``python -m experiments``."""
    commands: Mapping[str, Command]

    def usage(self) -> str:
        """The text of ``--help``."""
        width = max(map(len, self.commands))
        return "\n".join(
            [
                f"usage: {self.name} COMMAND [options]    (COMMAND --help lists its options)",
                "",
                *(f"  {name:<{width}}  {command.summary}" for name, command in self.commands.items()),
                "",
                NOTICE,
            ]
        )

    def run(self, argv: Sequence[str]) -> int:
        """Run one command.

        Args:
            argv: the command's name and its arguments; or ``--help``, or ``--version``.

        Returns:
            0 on success, 1 after an error of this project (the message says what to do), 2 for a wrong call, 130 after
            Ctrl-C.
        """
        if not argv or argv[0] in ("-h", "--help"):
            print(self.usage())
            return 0 if argv else 2
        if argv[0] == "--version":
            print(f"{self.name} {__version__}")
            return 0
        name, *words = argv
        command = self.commands.get(name)
        if command is None:
            print(f"error: unknown command '{name}'; one of: {', '.join(self.commands)}", file=sys.stderr)
            return 2
        if not command.has_more_options and (wrong := unknown_option(command.module, words)):
            print(f"error: {wrong} ({self.name} {name} --help lists all)", file=sys.stderr)
            return 2

        def call() -> int | None:
            with needs_extra(command.extra):
                status: int | None = importlib.import_module(command.module).main(argv if command.is_named else words)
                return status

        return exit_status(call, goes_on=command.goes_on)
