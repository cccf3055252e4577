"""The names of settings, read from the source code of the classes that take them.

Importing these classes would take seconds.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

PLAIN = {"int", "float", "str", "bool", "list", "tuple", "Literal", "Optional", "Union", "timedelta", "Path", "None"}
"""Names in the annotation of a setting that has no settings below it."""
TRAINER = "lightning.pytorch.trainer.trainer.Trainer"
GIVEN = {"self", "model", "train_dataloaders", "val_dataloaders", "dataloaders", "datamodule"}
"""Arguments of the Trainer's methods that LightningCLI supplies."""


class Found(NamedTuple):
    """A class in the source code."""

    module: str
    """The module of the class, in which its annotations are read."""
    node: ast.ClassDef


def setting_names(class_path: str) -> dict[str, bool] | None:
    """The settings of a class.

    Args:
        class_path: ``package.module.Class``, as in the configuration files.

    Returns:
        Dotted name -> whether the setting may have others below it that cannot be known here (free mappings, objects).
        None if the class is not found, or takes any setting.
    """
    module, _, name = class_path.rpartition(".")
    found = _find(module, name) if module else None
    return None if found is None else _arguments(found)


def command_names(command: str) -> set[str]:
    """Names of the options that a command of the Trainer takes, besides the settings of classes."""
    module, _, name = TRAINER.rpartition(".")
    found = _find(module, name)
    method = None if found is None else _function(found.node, command)
    return set() if method is None else {argument.arg for argument in method.args.args} - GIVEN


def _arguments(found: Found) -> dict[str, bool] | None:
    if _is_dataclass(found.node):
        named = [
            (part.target.id, part.annotation)
            for part in found.node.body
            if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
        ]
        return _described(found.module, named)
    made = _function(found.node, "__init__")
    own: dict[str, bool] = {}
    if made is not None:
        arguments = [*made.args.args[1:], *made.args.kwonlyargs]
        own = _described(found.module, [(argument.arg, argument.annotation) for argument in arguments])
        if made.args.kwarg is None:
            return own
    bases = (_find(found.module, base.id) for base in found.node.bases if isinstance(base, ast.Name))
    passed_on = next((_arguments(base) for base in bases if base is not None), None)
    return None if passed_on is None else passed_on | own


def _described(module: str, named: list[tuple[str, ast.expr | None]]) -> dict[str, bool]:
    names: dict[str, bool] = {}
    for name, annotation in named:
        mentioned = set(_mentioned(annotation))
        groups = [found for word in mentioned - PLAIN if (found := _find(module, word)) and _is_dataclass(found.node)]
        names[name] = not groups and bool(mentioned - PLAIN)
        for group in groups:
            names |= {f"{name}.{below}": free for below, free in (_arguments(group) or {}).items()}
    return names


def _mentioned(annotation: ast.expr | None) -> Iterator[str]:
    for node in ast.walk(annotation) if annotation is not None else ():
        if isinstance(node, ast.Name):
            yield node.id


def _is_dataclass(node: ast.ClassDef) -> bool:
    return any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)


def _function(node: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    return next((part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == name), None)


@cache
def _find(module: str, name: str) -> Found | None:
    """Find a class by its name in a module, also if the module imports it from another."""
    classes, imported = _source(module)
    if name in classes:
        return Found(module, classes[name])
    return _find(*imported[name]) if name in imported else None


@cache
def _source(module: str) -> tuple[dict[str, ast.ClassDef], dict[str, tuple[str, str]]]:
    """Read a module's source code.

    Only the topmost package is looked up, since looking up a subpackage would import it.

    Returns:
        Its classes by name; and for each name that it imports, the module and the name there.
    """
    top, *below = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None or not spec.submodule_search_locations:
        return {}, {}
    place = Path(spec.submodule_search_locations[0]).joinpath(*below)
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8")))) if path.is_file() else []
    return {node.name: node for node in nodes if isinstance(node, ast.ClassDef)}, {
        alias.asname or alias.name: (node.module, alias.name)
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
        for alias in node.names
    }
