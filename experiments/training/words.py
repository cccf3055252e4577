"""The words of a Trainer's command, looked at before anything heavy is loaded: unknown names are refused at once."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ammrg.errors import SettingsError
from experiments.training.setting_names import TRAINER, command_names, setting_names

OWN = {"seed_everything", "trainer", "model", "data", "wandb", "force_resume", "force-resume", "config", "print_config"}
"""Names of what every command takes beside the Trainer's arguments."""
PREDICT = {"new_studies"}
FLAGS = {"force_resume", "force-resume", "print_config"}
"""Options that take no value of their own."""
CLASSES = ("model", "data")
SHOWN = 4
"""Most names that are proposed in place of a wrong one."""


class Option(NamedTuple):
    """One option of a command line, or one setting of a file."""

    name: str
    """Dotted, without ``init_args``."""
    value: Any
    where: str
    """The file it stands in; empty on the command line."""


class Words:
    """What a command line asks for.

    Args:
        argv: as on the command line, the command first.

    Raises:
        SettingsError: a file that is not there or no YAML, a word that is no option, or an unknown setting, with the
            nearest ones there are.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self.command, *words = argv
        self.given = list(_options(words))
        self.class_paths = {"data": "datamodules.studies.StudyDataModule"}
        self.callbacks: list[str] = []
        self.options: list[Option] = []
        self.too_early: Option | None = None
        """A setting within a class that no file before it named."""
        for option in self.given:
            if option.name == "config":
                for key, value in _read(option.value).items():
                    self._take(Option(key, value, _shown(option.value)))
            else:
                self._take(option)
        self.known = self._known()

    def _take(self, option: Option) -> None:
        """One setting, or those within a mapping; notes which classes are asked for."""
        name, value, where = option
        if not where and isinstance(value, str) and value.startswith(("{", "[")):
            value = _loaded(value)
        if name.endswith((".class_path", ".init_args")):
            name, last = name.rsplit(".", 1)
            value = {last: value}
        name = name.removesuffix("+").replace(".init_args.", ".")
        root, within, _ = name.partition(".")
        if root in CLASSES and within and root not in self.class_paths:
            self.too_early = self.too_early or option
        if name in CLASSES and isinstance(value, str):
            value = {"class_path": value}
        alone = isinstance(value, Mapping) and "class_path" in value
        if name == "trainer.callbacks" and (alone or isinstance(value, list | str)):
            self._take_callbacks(value if isinstance(value, list) else [value], where, added=option.name.endswith("+"))
        elif name.startswith("trainer.callbacks.") and self.callbacks:
            self.options.append(option._replace(name=f"trainer.callbacks.{len(self.callbacks) - 1}.{name[18:]}"))
        elif isinstance(value, Mapping) and value:
            if name in CLASSES and "class_path" in value:
                self.class_paths[name] = str(value["class_path"])
            for key, below in value.items():
                if key == "init_args":
                    self._take(Option(name, below, where))
                elif key != "class_path":
                    self._take(Option(f"{name}.{key}", below, where))
        else:
            self.options.append(Option(name, value, where))

    def _take_callbacks(self, value: list[Any], where: str, added: bool) -> None:
        if not added:
            self.callbacks = []
            self.options = [each for each in self.options if not each.name.startswith("trainer.callbacks.")]
        for item in value:
            asked = item if isinstance(item, Mapping) else {"class_path": item}
            self.callbacks.append(str(asked.get("class_path")))
            for key in asked.get("init_args") or {}:
                self.options.append(Option(f"trainer.callbacks.{len(self.callbacks) - 1}.{key}", None, where))

    def _known(self) -> dict[str, bool]:
        """Names of all settings of the classes asked for: whether more may lie below."""
        known = dict.fromkeys(OWN | command_names(self.command), False)
        known |= dict.fromkeys(PREDICT if self.command == "predict" else (), False)
        classes = {"trainer": TRAINER, **self.class_paths}
        classes |= {f"trainer.callbacks.{place}": path for place, path in enumerate(self.callbacks)}
        for name in ("trainer", *CLASSES, *classes):
            within = setting_names(classes[name]) if name in classes else None
            known[name] = within is None
            known |= {f"{name}.{key}": free for key, free in (within or {}).items()}
        return known | {"trainer.callbacks": not self.callbacks}

    def check(self) -> None:
        """Refuse the first unknown name.

        Raises:
            SettingsError: with the nearest names there are.
        """
        if self.too_early is not None:
            where, name = self.too_early.where or "the command line", self.too_early.name.replace(".init_args", "")
            raise SettingsError(
                f"{where}: {name}: no file before it says which model this is; give the stage's own first (-c "
                "experiments/configs/stage1/default.yaml)"
            )
        for name, value, where in self.options:
            if name == "trainer" and value and not Path(str(value)).is_file():
                raise SettingsError(
                    f"{where or 'the command line'}: trainer: found {value!r}, must map names to values"
                )
            if name in self.known or self._is_free(name):
                continue
            place = f"{where}: " if where else "--"
            told, near = self._told(name), [self._told(each) for each in self._nearest(name)]
            cure = f"the nearest: {', '.join(near)}" if near else "none is like it"
            raise SettingsError(f"{place}{told}: no such setting; {cure}{self._lists(name)}")

    def _lists(self, name: str) -> str:
        """Where all are told."""
        root = name.partition(".")[0]
        if root in self.class_paths and "." in name:
            return f" (python -m experiments {self.command} --{root}.help={self.class_paths[root]} lists all)"
        return f" (python -m experiments {self.command} --help lists all)"

    def _told(self, name: str) -> str:
        """A callback's setting by its class."""
        parts = name.split(".")
        if parts[:2] == ["trainer", "callbacks"] and len(parts) > 3:
            parts[2] = self.callbacks[int(parts[2])].rpartition(".")[2]
        return ".".join(parts)

    def _is_free(self, name: str) -> bool:
        parts = name.split(".")
        return any(self.known.get(".".join(parts[:count])) for count in range(1, len(parts)))

    def _nearest(self, name: str) -> list[str]:
        """Settings of the same last word first, then those that are written alike."""
        last = name.rpartition(".")[2]
        known = [each for each in self.known if not each.rpartition(".")[2].isdecimal()]
        same = [each for each in known if each.rpartition(".")[2] == last]
        begun = [each for each in known if each.startswith(name)]
        beside = {each.rpartition(".")[2]: each for each in known}
        alike = difflib.get_close_matches(name, known, SHOWN, cutoff=0.7)
        words = [beside[each] for each in difflib.get_close_matches(last, beside, SHOWN, cutoff=0.7)]
        return list(dict.fromkeys([*same, *begun, *alike, *words]))[:SHOWN]

    def joined(self) -> list[str]:
        """The words for the parser. jsonargparse turns a null, list or mapping two levels below a class into Python's
        text of it, and forgets what stands beside a setting within a free mapping
        (https://github.com/mauvilsa/jsonargparse/issues/387): such options go as a piece of YAML, which joins with the
        files before it."""
        words = [self.command]
        for option in self.given:
            name = option.name.replace(".init_args.", ".")
            root, *path = name.split(".")
            if root not in CLASSES or len(path) < 2 or option.value is None:
                words += _as_word(option)
                continue
            value = _loaded(option.value)
            if not (value is None or isinstance(value, dict | list) or self._is_free(name)):
                words += _as_word(option)
                continue
            for key in reversed(path):
                value = {key: value}
            words += ["--config", json.dumps({root: {"init_args": value}}, default=str)]
        return words


def _options(words: Sequence[str]) -> Iterator[Option]:
    """Options with their values as they are written; None for a flag."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("-c") and not word.startswith("--"):
            word, rest = "--config", [word[2:].removeprefix("="), *rest] if word != "-c" else rest
        if not word.startswith("--"):
            raise SettingsError(f"{word!r} is no option: options begin with -- (--trainer.max_epochs=3)")
        name, given, value = word[2:].partition("=")
        if given and name in FLAGS - {"print_config"}:
            raise SettingsError(f"--{name}: found {value!r}, but takes no value; it is on where it stands")
        if not given and name not in FLAGS:
            if not rest:
                raise SettingsError(f"{word}: says no value; write {word}=VALUE")
            value, given = rest.pop(0), "="
        yield Option(name, value if given else None, "")


def _as_word(option: Option) -> list[str]:
    return [f"--{option.name}" if option.value is None else f"--{option.name}={option.value}"]


def _loaded(text: str) -> Any:
    """A value as YAML reads it; the text itself where that is none."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _shown(text: str) -> str:
    return "--config" if text.lstrip().startswith("{") else text


def _read(text: str) -> dict[str, Any]:
    """A file of settings, or settings written out.

    Raises:
        SettingsError: no such file, or no YAML mapping.
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
        raise SettingsError(f"{where}: holds no settings, must map names (trainer, model, data) to values")
    return found or {}
