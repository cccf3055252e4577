"""``Words``: the settings that a Trainer's command line asks for, checked before anything heavy is imported."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ammrg.errors import SettingsError
from experiments.training.options import Option, as_word, options_of, place_of, read_settings, yaml_value
from experiments.training.setting_names import TRAINER, command_names, setting_names

OWN = {"seed_everything", "trainer", "model", "data", "wandb", "force_resume", "force-resume", "config", "print_config"}
"""Options of every command, besides the arguments of the Trainer's method."""
PREDICT = {"new_studies"}
"""Options of ``predict`` only."""
CLASSES = ("model", "data")
"""Options that name a class, with its settings below."""
SHOWN = 4
"""Most names that an error suggests for an unknown one."""


class Words:
    """The settings that a command line asks for, in its files and its options.

    Args:
        argv: as on the command line, the command first.

    Raises:
        SettingsError: a file does not exist or is not YAML, or a word is no option.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self.command, *words = argv
        self.given = list(options_of(words))
        self.class_paths = {"data": "datamodules.studies.StudyDataModule"}
        self.callbacks: list[str] = []
        self.options: list[Option] = []
        self.too_early: Option | None = None
        """The first setting of a class that was not named before it."""
        for option in self.given:
            if option.name == "config":
                for key, value in read_settings(option.value).items():
                    self._take(Option(key, value, place_of(option.value)))
            else:
                self._take(option)
        self.known = self._known()

    def _take(self, option: Option) -> None:
        """Record a setting, or all settings of a mapping, and the classes that they name."""
        name, value, where = option
        if not where and isinstance(value, str) and value.startswith(("{", "[")):
            value = yaml_value(value)
        if name.endswith((".class_path", ".init_args")):
            name, last = name.rsplit(".", 1)
            value = {last: value}
        name = name.removesuffix("+").replace(".init_args.", ".")
        root, within, _ = name.partition(".")
        if root in CLASSES and within and root not in self.class_paths:
            self.too_early = self.too_early or option
        if name in CLASSES and isinstance(value, str):
            value = {"class_path": value}
        single = isinstance(value, Mapping) and "class_path" in value
        if name == "trainer.callbacks" and (single or isinstance(value, list | str)):
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
            named = item if isinstance(item, Mapping) else {"class_path": item}
            self.callbacks.append(str(named.get("class_path")))
            for key in named.get("init_args") or {}:
                self.options.append(Option(f"trainer.callbacks.{len(self.callbacks) - 1}.{key}", None, where))

    def _known(self) -> dict[str, bool]:
        """All settings of the named classes: name -> whether there may be others below it."""
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
        """Refuse the first unknown setting.

        Raises:
            SettingsError: names the setting and the most similar ones that exist.
        """
        if self.too_early is not None:
            where, name = self.too_early.where or "the command line", self.too_early.name.replace(".init_args", "")
            raise SettingsError(
                f"{where}: {name}: no file before it names the class; give the stage's default file first (-c "
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
            near = [self._readable(each) for each in self._nearest(name)]
            hint = f"the nearest: {', '.join(near)}" if near else "none is similar"
            raise SettingsError(f"{place}{self._readable(name)}: no such setting; {hint}{self._help_for(name)}")

    def _help_for(self, name: str) -> str:
        """The command that lists all settings, for an error."""
        root = name.partition(".")[0]
        if root in self.class_paths and "." in name:
            return f" (python -m experiments {self.command} --{root}.help={self.class_paths[root]} lists all)"
        return f" (python -m experiments {self.command} --help lists all)"

    def _readable(self, name: str) -> str:
        """A setting's name, with the class of a callback in place of its number."""
        parts = name.split(".")
        if parts[:2] == ["trainer", "callbacks"] and len(parts) > 3:
            parts[2] = self.callbacks[int(parts[2])].rpartition(".")[2]
        return ".".join(parts)

    def _is_free(self, name: str) -> bool:
        parts = name.split(".")
        return any(self.known.get(".".join(parts[:count])) for count in range(1, len(parts)))

    def _nearest(self, name: str) -> list[str]:
        """The most similar settings: those with the same last word first."""
        last = name.rpartition(".")[2]
        known = [each for each in self.known if not each.rpartition(".")[2].isdecimal()]
        same = [each for each in known if each.rpartition(".")[2] == last]
        begun = [each for each in known if each.startswith(name)]
        beside = {each.rpartition(".")[2]: each for each in known}
        alike = difflib.get_close_matches(name, known, SHOWN, cutoff=0.7)
        words = [beside[each] for each in difflib.get_close_matches(last, beside, SHOWN, cutoff=0.7)]
        return list(dict.fromkeys([*same, *begun, *alike, *words]))[:SHOWN]

    def joined(self) -> list[str]:
        """The command line for the parser, with some options rewritten as pieces of YAML.

        jsonargparse turns a null, list or mapping two levels below a class into Python's text of it, and drops the
        other entries of a free mapping when one of them is set (https://github.com/mauvilsa/jsonargparse/issues/387). A
        piece of YAML is joined with the files before it.
        """
        words = [self.command]
        for option in self.given:
            name = option.name.replace(".init_args.", ".")
            root, *path = name.split(".")
            if root not in CLASSES or len(path) < 2 or option.value is None:
                words += as_word(option)
                continue
            value = yaml_value(option.value)
            if not (value is None or isinstance(value, dict | list) or self._is_free(name)):
                words += as_word(option)
                continue
            for key in reversed(path):
                value = {key: value}
            words += ["--config", json.dumps({root: {"init_args": value}}, default=str)]
        return words
