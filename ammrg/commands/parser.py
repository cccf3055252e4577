"""The parser of all commands except the Trainer's: options have their full names, errors are one sentence."""

from __future__ import annotations

import argparse
import ast
import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

SHOWN = 3
"""Most options that are proposed instead of a wrong one."""


class CommandParser(argparse.ArgumentParser):
    """An ArgumentParser that accepts no abbreviations (``--pub``), and does not print the usage after an error."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        """Exit with one sentence and status 2."""
        if wrong := re.match(r"unrecognized arguments: (-\S*)", message):
            known = [option for action in self._actions for option in action.option_strings]
            known += [option for parser in self._below() for option in parser._option_string_actions]
            message = no_such_option(wrong[1], known)
        self.exit(2, f"error: {message} ({self.prog} --help lists all)\n")

    def _below(self) -> list[argparse.ArgumentParser]:
        """The parsers of this parser's subcommands."""
        choices = [action.choices for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        return [parser for each in choices for parser in (each or {}).values()]


def no_such_option(word: str, known: Iterable[str]) -> str:
    """The message about a wrong option, with the nearest known ones."""
    name, options = word.partition("=")[0], sorted(set(known))
    begun = [option for option in options if option.startswith(name) and name.strip("-")]
    near = list(dict.fromkeys([*begun, *difflib.get_close_matches(name, options, SHOWN)]))[:SHOWN]
    return f"{name}: no such option" + (f"; the nearest: {', '.join(near)}" if near else "")


def unknown_option(module: str, words: Sequence[str]) -> str | None:
    """Find an option that is not in a command's source, before the slow import of the command.

    Args:
        module: the command's module, e.g. ``experiments.commands.export``. Options of the module with the same name in
            ``ammrg.commands`` count too.
        words: the command's arguments.

    Returns:
        The message about the first unknown option, or None. Only the command's parser checks the options' values.
    """
    here, name = Path(__file__).parent, f"{module.rpartition('.')[2]}.py"
    sources = (here.parents[1].joinpath(*module.split(".")).with_suffix(".py"), here / name)
    texts = (
        node.value
        for path in sources
        if path.is_file()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
    )
    known = {text for text in texts if isinstance(text, str) and re.fullmatch(r"--[\w-]+", text)} | {"--help"}
    wrong = next((word for word in words if re.match(r"--\w", word) and word.partition("=")[0] not in known), None)
    return None if wrong is None else no_such_option(wrong, known)
