"""A program of several commands, as ``ammrg`` and ``python -m experiments`` are: one word chooses which.

A command's module is imported only when it is called, so that ``--help`` and a wrong word are answered at once.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ammrg import __version__
from ammrg.commands.exit_status import exit_status
from ammrg.commands.parser import unknown_option
from ammrg.extras import needs_extra
from ammrg.notice import NOTICE


class Command(NamedTuple):
    """One command of a program."""

    module: str
    """Holds ``main(argv) -> int``; imported when the command is called."""
    summary: str
    """What it does, in one line of ``--help``."""
    extra: str
    """The extra that installs the packages it may need beyond those of the light install."""
    goes_on: str = ""
    """What is said after "stopped" of a command that can go on."""
    has_more_options: bool = False
    """Whether it takes options that its own source does not name."""
    is_named: bool = False
    """Whether ``main`` is given the command's name as the first word."""


class Program(NamedTuple):
    """The table of commands."""

    name: str
    """How it is called: ``ammrg``, or ``python -m experiments``."""
    commands: Mapping[str, Command]

    def usage(self) -> str:
        """The text of ``--help``."""
        width = max(map(len, self.commands))
        return "\n".join(
            [
                f"usage: {self.name} COMMAND [options]    (COMMAND --help tells its options)",
                "",
                *(f"  {name:<{width}}  {command.summary}" for name, command in self.commands.items()),
                "",
                NOTICE,
            ]
        )

    def run(self, argv: Sequence[str]) -> int:
        """Run one command.

        Args:
            argv: the command's name, then its own words; or ``--help``, or ``--version``.

        Returns:
            0 on success, 1 where the user can cure what went wrong (the message says how), 2 for a wrong call,
            130 after Ctrl-C.
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
