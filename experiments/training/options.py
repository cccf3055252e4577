"""The options of a Trainer's command, and the settings in its files, as they are written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ammrg.errors import SettingsError

FLAGS = {"force_resume", "force-resume", "print_config"}
"""Options that need no value."""


class Option(NamedTuple):
    """One option of a command line, or one setting of a file."""

    name: str
    """Dotted name."""
    value: Any
    where: str
    """The file that holds it; empty for the command line."""


def options_of(words: Sequence[str]) -> Iterator[Option]:
    """Yield the options of a command line with their values as texts; the value of a flag is None.

    Raises:
        SettingsError: a word is not an option, a flag has a value, or another option has none.
    """
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("-c") and not word.startswith("--"):
            word, rest = "--config", [word[2:].removeprefix("="), *rest] if word != "-c" else rest
        if not word.startswith("--"):
            raise SettingsError(f"{word!r} is no option: options start with --, for instance --trainer.max_epochs=3")
        name, given, value = word[2:].partition("=")
        if given and name in FLAGS - {"print_config"}:
            raise SettingsError(f"--{name}: found {value!r}, but takes no value; leave the value out")
        if not given and name not in FLAGS:
            if not rest:
                raise SettingsError(f"{word}: has no value; write {word}=VALUE")
            value, given = rest.pop(0), "="
        yield Option(name, value if given else None, "")


def as_word(option: Option) -> list[str]:
    """The option as it is written on a command line."""
    return [f"--{option.name}" if option.value is None else f"--{option.name}={option.value}"]


def yaml_value(text: str) -> Any:
    """A value as YAML reads it, or the text itself if it is not YAML."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def place_of(text: str) -> str:
    """How an error names a file of settings, or settings that are given as a text."""
    return "--config" if text.lstrip().startswith("{") else text


def read_settings(text: str) -> dict[str, Any]:
    """Read a file of settings, or settings that are given as a text.

    Raises:
        SettingsError: the file does not exist, or holds no YAML mapping.
    """
    if not text.lstrip().startswith("{"):
        if not Path(text).is_file():
            raise SettingsError(f"-c {text}: no such file")
        text, where = Path(text).read_text(encoding="utf-8"), text
    else:
        where = "--config"
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"{where}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict | None):
        raise SettingsError(f"{where}: holds no settings; it must map names (trainer, model, data) to values")
    return found or {}
