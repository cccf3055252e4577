"""The parser of the Trainer's commands: files and options that set parts of one group or mapping are joined."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any, NoReturn, get_args

from jsonargparse import ActionConfigFile
from lightning.pytorch.cli import LightningArgumentParser

from experiments.runs.setting_errors import sentence

BEGINS_ANEW = "model_type"
"""The key that says what kind of mapping it is; if it changes, the earlier entries are dropped."""


class JoinedFile(ActionConfigFile):
    """A file of settings that is joined with the files before it, at any depth of its mappings."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: Any = None) -> None:
        """Read one file and join it with the settings so far."""
        before = {key: value for key, value in cfg.items() if isinstance(value, dict)}
        super().__call__(parser, cfg, values, option_string)
        for key, value in before.items():
            if isinstance(cfg.get(key), dict):
                cfg[key] = join(value, cfg[key])


def join(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Join two mappings, at any depth; where both have a value, ``after`` wins."""
    if BEGINS_ANEW in after and after[BEGINS_ANEW] != before.get(BEGINS_ANEW, after[BEGINS_ANEW]):
        return after
    both = {**before, **after}
    for key in before.keys() & after.keys():
        if isinstance(before[key], dict) and isinstance(after[key], dict):
            both[key] = join(before[key], after[key])
    return both


class SettingsParser(LightningArgumentParser):
    """jsonargparse's parser with whole option names only, errors in one sentence and a fuller help.

    The help also shows the settings of groups that may be null, and of classes that are named by files before
    ``--help``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **kwargs)
        self.classes: dict[str, str] = {}
        """The classes whose settings the help shows: name -> ``package.module.Class``."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print one sentence and exit with status 2; a nested parser passes its message to the outer one."""
        if not self.exit_on_error:
            super().error(message, ex)
        sys.stderr.write(f"error: {sentence(message)}\n")
        self.exit(2)
        raise AssertionError  # exit() does not return

    def format_help(self) -> str:
        """The help, followed by the settings of groups and classes."""
        return "\n".join([super().format_help(), *self._within()])

    def _within(self) -> Iterator[str]:
        kinds = [(name, _class(path)) for name, path in self.classes.items()]
        for action in [action for action in self._actions if not action.dest.endswith(".help")]:
            arguments = get_args(getattr(action, "_typehint", None))
            kinds += [(action.dest, kind) for kind in arguments if isinstance(kind, type) and is_dataclass(kind)]
        for name, kind in kinds:
            within = type(self)(add_help=False, usage=argparse.SUPPRESS, description="")
            within.add_class_arguments(kind, name, fail_untyped=False)
            yield within.format_help().strip() + "\n"


def _class(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)
