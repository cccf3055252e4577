"""The parser of all commands but the Trainer's: options by their whole names, errors in one sentence."""

from __future__ import annotations

import argparse
import difflib
import re
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
            word = wrong[1].partition("=")[0]
            known = [option for action in self._actions for option in action.option_strings]
            known += [option for parser in self._below() for option in parser._option_string_actions]
            begun = [option for option in known if option.startswith(word) and word.strip("-")]
            near = list(dict.fromkeys([*begun, *difflib.get_close_matches(word, known, SHOWN)]))[:SHOWN]
            message = f"{word}: no such option" + (f"; the nearest are {', '.join(near)}" if near else "")
        self.exit(2, f"error: {message} ({self.prog} --help lists all)\n")

    def _below(self) -> list[argparse.ArgumentParser]:
        """The parsers of commands within this one."""
        choices = [action.choices for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        return [parser for each in choices for parser in (each or {}).values()]
