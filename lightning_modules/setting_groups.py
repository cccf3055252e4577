"""Settings that come in groups: dataclasses in the code, primitives in files and checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_type_hints

from ammrg.errors import SettingsError


def groups_of(made: Callable[..., Any]) -> dict[str, type[Any]]:
    """The arguments of a class that are groups: name -> dataclass."""
    found: dict[str, type[Any]] = {}
    for name, hint in get_type_hints(made if is_dataclass(made) else made.__init__).items():  # type: ignore[misc]
        for kind in (hint, *get_args(hint)):
            if isinstance(kind, type) and is_dataclass(kind):
                found[name] = kind
    return found


def as_group(kind: type[Any], given: Any, where: str) -> Any:
    """Build a group, and the groups within it, from primitives; a dataclass or None is returned as it is.

    Args:
        kind: the dataclass.
        given: a mapping of some of its fields.
        where: the group's dotted name, for messages.

    Raises:
        SettingsError: ``given`` is not a mapping, or names a field that the group does not have.
    """
    if given is None or isinstance(given, kind):
        return given
    names = [field.name for field in fields(kind)]
    if not isinstance(given, Mapping):
        raise SettingsError(f"{where}: found {given!r}, must map some of {', '.join(names)} to values")
    if unknown := sorted(set(given) - set(names)):
        raise SettingsError(f"{where}.{unknown[0]}: no such setting; there are {', '.join(names)}")
    within = groups_of(kind)
    return kind(
        **{
            name: as_group(within[name], value, f"{where}.{name}") if name in within else value
            for name, value in given.items()
        }
    )


def primitives(group: Any) -> Any:
    """The fields of a group, and of the groups within it, that are not None; anything else is returned as it is."""
    if not is_dataclass(group):
        return group
    values = {field.name: getattr(group, field.name) for field in fields(group)}
    return {name: primitives(value) for name, value in values.items() if value is not None}


def groups_as_primitives(made: Callable[..., Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Check the groups among a module's arguments, and return them as primitives, the form checkpoints store.

    Args:
        made: the module's class.
        settings: the module's arguments by name, groups in either form.

    Raises:
        SettingsError: see :func:`as_group`.
    """
    kinds = groups_of(made).items()
    return {name: primitives(as_group(kind, settings.get(name), f"model.{name}")) for name, kind in kinds}
