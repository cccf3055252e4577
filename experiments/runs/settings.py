"""The kept settings of a run: one resolved config.yaml beside its artifacts, never silently changed."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from ammrg.atomic import write_atomically
from ammrg.errors import SettingsError
from callbacks.forced_log import note_forced
from lightning_modules.setting_groups import groups_of

COSMETIC = (
    "ckpt_path",
    "weights_only",
    "config",
    "new_studies",
    "force_resume",
    "wandb",
    "trainer.enable_progress_bar",
    "trainer.default_root_dir",
    "trainer.logger",
)
"""Keys that may differ between a run and its continuation: they change no number."""


def flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and leaf values, as they are written on the command line (``init_args`` left out)."""
    for key, value in settings.items():
        name = prefix if key == "init_args" else f"{prefix}.{key}".lstrip(".")
        if isinstance(value, Mapping) and value:
            yield from flatten(value, name)
        elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            for item in value:
                class_name = str(item.get("class_path", "")).rpartition(".")[2]
                yield from flatten(item, f"{name}.{class_name}" if class_name else name)
        else:
            yield name, value


def as_old(kept: Any, asked: Any) -> Any:
    """The settings asked for without those that were not there yet when the kept ones were written, where they stand at
    the default of their class: a default keeps what was before."""
    if isinstance(kept, list) and isinstance(asked, list) and len(kept) == len(asked):
        return [as_old(*pair) for pair in zip(kept, asked, strict=True)]
    if not (isinstance(kept, Mapping) and isinstance(asked, Mapping)):
        return asked
    known = {key: as_old(kept[key], value) if key in kept else value for key, value in asked.items()}
    before, now = kept.get("init_args"), known.get("init_args")
    if isinstance(before, Mapping) and isinstance(now, Mapping) and kept.get("class_path") == asked.get("class_path"):
        known["init_args"] = as_old_arguments(before, now, str(asked["class_path"]))
    return known


def as_old_arguments(kept: Mapping[str, Any], asked: Mapping[str, Any], class_path: str) -> dict[str, Any]:
    """:func:`as_old` of the arguments of a class, and of the groups of settings among them: those of an earlier release
    hold the fields that were given, where now every field is spelled out."""
    if set(asked) <= set(kept) and not any(isinstance(value, Mapping) for value in asked.values()):
        return dict(asked)
    module, _, name = class_path.rpartition(".")
    try:
        made = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):  # a class that is no more has no defaults
        return dict(asked)
    return _as_old_fields(kept, asked, made)


def _as_old_fields(kept: Mapping[str, Any], asked: Mapping[str, Any], made: type) -> dict[str, Any]:
    groups, defaults = groups_of(made), defaults_of(made)
    found = {}
    for key, value in asked.items():
        before = kept.get(key)
        if key in groups and isinstance(value, Mapping):
            if isinstance(before, Mapping):
                value = _as_old_fields(before, value, groups[key])
            elif all(each is None for _, each in flatten(value)):
                value = None  # a group of nothing
        if key in kept or key not in defaults or value != defaults[key]:
            found[key] = value
    return found


def defaults_of(made: type) -> dict[str, Any]:
    """The arguments of a class and its bases that have a default; groups as primitives."""
    found: dict[str, Any] = {}
    for kind in reversed(made.__mro__):
        if "__init__" in vars(kind):
            parameters = inspect.signature(kind.__init__).parameters.values()
            found |= {each.name: each.default for each in parameters if each.default is not each.empty}
    if is_dataclass(made):
        factories = (field for field in fields(made) if callable(field.default_factory))
        found |= {field.name: asdict(field.default_factory()) for field in factories}  # type: ignore[misc]
    return found


def differences(kept: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """One line per key that differs: ``model.lr: 0.001 (kept) -> 0.0001 (asked)``."""
    old, new = dict(flatten(kept)), dict(flatten(as_old(kept, asked)))
    keys = [key for key in {**old, **new} if not key.startswith(COSMETIC)]
    return [
        f"{key}: {old.get(key, 'not set')} (kept) -> {new.get(key, 'not set')} (asked)"
        for key in keys
        if old.get(key) != new.get(key)
    ]


def keep(asked: Mapping[str, Any], folder: Path, forced: bool = False) -> bool:
    """Write ``folder/config.yaml``, or check the kept one against the settings asked for.

    Args:
        asked: the resolved settings.
        folder: of the run.
        forced: keep the new settings in place of the others, say what changed, and note it in ``forced.log``.

    Returns:
        True where a kept config was found and agrees.

    Raises:
        SettingsError: the kept settings differ; the message names every differing key.
    """
    path = Path(folder) / "config.yaml"
    if path.exists():
        changed = differences(yaml.safe_load(path.read_text()), asked)
        listed = "\n  ".join(changed)
        if changed and forced:
            note_forced(path.parent, f"{path} is replaced:\n  {listed}")
        elif changed:
            raise SettingsError(
                f"{path} keeps other settings than those asked for:\n  {listed}\n"
                "An old run never shows new settings: choose another RUN=, take the change back, "
                f"or remove {path.parent} yourself. (--force-resume goes on with the new ones; docs/clusters.md)"
            )
        else:
            return True
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, yaml.safe_dump(dict(asked), sort_keys=False).encode())
    return False
