"""The kept settings of a stage: the resolved ``config.yaml`` in its folder, which never changes silently."""

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
"""Keys that may differ between a run and its continuation, because they change no result."""


def flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and their values, as on the command line (without ``init_args``)."""
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


def as_old(kept: Any, requested: Any) -> Any:
    """Remove from the requested settings those that an earlier release did not have, if they are at their default.

    A new setting's default keeps the earlier behaviour, so it is no difference.

    Args:
        kept: the settings that an earlier call wrote.
        requested: the requested settings.
    """
    if isinstance(kept, list) and isinstance(requested, list) and len(kept) == len(requested):
        return [as_old(*pair) for pair in zip(kept, requested, strict=True)]
    if not (isinstance(kept, Mapping) and isinstance(requested, Mapping)):
        return requested
    known = {key: as_old(kept[key], value) if key in kept else value for key, value in requested.items()}
    before, now = kept.get("init_args"), known.get("init_args")
    if (
        isinstance(before, Mapping)
        and isinstance(now, Mapping)
        and kept.get("class_path") == requested.get("class_path")
    ):
        known["init_args"] = as_old_arguments(before, now, str(requested["class_path"]))
    return known


def as_old_arguments(kept: Mapping[str, Any], requested: Mapping[str, Any], class_path: str) -> dict[str, Any]:
    """Apply :func:`as_old` to the arguments of a class and to the groups of settings among them.

    Earlier releases wrote only the fields of a group that were given; now all fields are written.

    Args:
        kept: the arguments that an earlier call wrote.
        requested: the requested arguments.
        class_path: ``package.module.Class``.
    """
    if set(requested) <= set(kept) and not any(isinstance(value, Mapping) for value in requested.values()):
        return dict(requested)
    module, _, name = class_path.rpartition(".")
    try:
        made = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):  # a class that no longer exists has no defaults
        return dict(requested)
    return _as_old_fields(kept, requested, made)


def _as_old_fields(kept: Mapping[str, Any], requested: Mapping[str, Any], made: type) -> dict[str, Any]:
    groups, defaults = groups_of(made), defaults_of(made)
    found = {}
    for key, value in requested.items():
        before = kept.get(key)
        if key in groups and isinstance(value, Mapping):
            if isinstance(before, Mapping):
                value = _as_old_fields(before, value, groups[key])
            elif all(each is None for _, each in flatten(value)):
                value = None  # a group whose fields are all null
        if key in kept or key not in defaults or value != defaults[key]:
            found[key] = value
    return found


def defaults_of(made: type) -> dict[str, Any]:
    """The default values of a class's arguments and its bases'; groups of settings as plain mappings."""
    found: dict[str, Any] = {}
    for kind in reversed(made.__mro__):
        if "__init__" in vars(kind):
            parameters = inspect.signature(kind.__init__).parameters.values()
            found |= {each.name: each.default for each in parameters if each.default is not each.empty}
    if is_dataclass(made):
        factories = (field for field in fields(made) if callable(field.default_factory))
        found |= {field.name: asdict(field.default_factory()) for field in factories}  # type: ignore[misc]
    return found


def differences(kept: Mapping[str, Any], requested: Mapping[str, Any]) -> list[str]:
    """List the keys that differ, one line each: ``model.lr: 0.001 (kept) -> 0.0001 (asked)``."""
    old, new = dict(flatten(kept)), dict(flatten(as_old(kept, requested)))
    keys = [key for key in {**old, **new} if not key.startswith(COSMETIC)]
    return [
        f"{key}: {old.get(key, 'not set')} (kept) -> {new.get(key, 'not set')} (asked)"
        for key in keys
        if old.get(key) != new.get(key)
    ]


def keep(requested: Mapping[str, Any], folder: Path, forced: bool = False) -> bool:
    """Write ``folder/config.yaml``, or compare an existing one with the requested settings.

    Args:
        requested: the requested settings, resolved.
        folder: of the stage.
        forced: if the settings differ, replace the kept ones and note the changes in ``forced.log``.

    Returns:
        True if a ``config.yaml`` was found and agrees.

    Raises:
        SettingsError: the kept settings differ; the message names every key that differs.
    """
    path = Path(folder) / "config.yaml"
    if path.exists():
        changed = differences(yaml.safe_load(path.read_text()), requested)
        listed = "\n  ".join(changed)
        if changed and forced:
            note_forced(path.parent, f"{path} is replaced:\n  {listed}")
        elif changed:
            raise SettingsError(
                f"{path} keeps other settings than those asked for:\n  {listed}\n"
                "A run keeps its settings: choose another RUN=, undo the change, or remove "
                f"{path.parent} yourself. (--force-resume continues with the new settings; docs/clusters.md)"
            )
        else:
            return True
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, yaml.safe_dump(dict(requested), sort_keys=False).encode())
    return False
