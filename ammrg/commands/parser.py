"""The parser of all commands but the Trainer's: options by their whole names, errors in one sentence."""

from __future__ import annotations

import argparse
import ast
import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

SHOWN = 3
"""Most options that are proposed in place of a wrong one."""


class CommandParser(argparse.ArgumentParser):
    """argparse's, which would take ``--pub`` for ``--public``, and answer a wrong word with the whole usage."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        """End with one sentence and exit status 2."""
        if wrong := re.match(r"unrecognized arguments: (-\S*)", message):
            known = [option for action in self._actions for option in action.option_strings]
            known += [option for parser in self._below() for option in parser._option_string_actions]
            message = no_such_option(wrong[1], known)
        self.exit(2, f"error: {message} ({self.prog} --help lists all)\n")

    def _below(self) -> list[argparse.ArgumentParser]:
        """The parsers of commands within this one."""
        choices = [action.choices for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        return [parser for each in choices for parser in (each or {}).values()]


def no_such_option(word: str, known: Iterable[str]) -> str:
    """What is said of a wrong option, with the nearest there are."""
    name, options = word.partition("=")[0], sorted(set(known))
    begun = [option for option in options if option.startswith(name) and name.strip("-")]
    near = list(dict.fromkeys([*begun, *difflib.get_close_matches(name, options, SHOWN)]))[:SHOWN]
    return f"{name}: no such option" + (f"; the nearest: {', '.join(near)}" if near else "")


def unknown_option(module: str, words: Sequence[str]) -> str | None:
    """Look for options that a command's source does not hold, before it is imported with all it needs.

    Args:
        module: of the command, e.g. ``experiments.commands.export``; options of ``ammrg.commands``' module of that
            name count too.
        words: its arguments.

    Returns:
        What to say of the first; None where each is there (whether it fits is the parser's to say).
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
