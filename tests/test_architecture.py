"""Imports point inward, and never in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHELLS = ("lightning_modules", "datamodules", "callbacks")
OUTER = ("experiments", "demo", "benchmarks")
FILES = sorted(path for room in ("ammrg", *SHELLS, *OUTER) for path in (ROOT / room).rglob("*.py"))

# Rooms of ammrg from the ground up: a room may import those before it (and itself).
GROUND_UP = (
    "errors",
    "ranges",
    "findings",
    "types",
    "atomic",
    "fingerprints",
    "folds",
    "partners",
    "gathering",
    "ids",
    "sharding",
    "maps",
    "thresholds",
    "text",
    "metrics",
    "imaging",
    "memory",
    "networks",
    "data_sets",
    "missing_file",
    "inference",
    "evaluation",
    "commands",
)


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; name the room"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def violations(room: str, forbidden: tuple[str, ...]) -> list[str]:
    found = []
    for path in FILES:
        if module_name(path).split(".")[0] == room:
            found += [f"{module_name(path)} -> {name}" for name in imports(path) if name.split(".")[0] in forbidden]
    return found


def test_the_rooms_are_there() -> None:
    assert len(FILES) > 30
    assert not list(ROOT.glob("*/**/utils.py")) or all(".venv" in str(path) for path in ROOT.glob("*/**/utils.py"))


def test_science_knows_neither_lightning_nor_wandb_nor_the_shells() -> None:
    assert not violations("ammrg", ("lightning", "pytorch_lightning", "wandb", *SHELLS, *OUTER))


@pytest.mark.parametrize("room", SHELLS)
def test_shells_do_not_import_each_other_or_outwards(room: str) -> None:
    others = tuple(shell for shell in SHELLS if shell != room)
    assert not violations(room, (*others, *OUTER))


def test_demo_imports_the_science_only() -> None:
    assert not violations("demo", (*SHELLS, "experiments", "benchmarks", "lightning"))


def test_inside_the_science_imports_point_down() -> None:
    found = []
    for path in FILES:
        parts = module_name(path).split(".")
        if parts[0] != "ammrg" or len(parts) == 1:
            continue
        allowed = GROUND_UP[: GROUND_UP.index(parts[1]) + 1]
        for name in imports(path):
            target = name.split(".")
            if target[0] == "ammrg" and len(target) > 1 and target[1] in GROUND_UP and target[1] not in allowed:
                found.append(f"{'.'.join(parts)} -> {name}")
    assert not found


def test_memory_imports_no_network_and_nothing_pickles() -> None:
    for path in FILES:
        assert not {"pickle", "torchvision", "dill", "joblib"} & {name.split(".")[0] for name in imports(path)}, path
        assert "trust_remote_code=True" not in path.read_text(), path
        assert "weights_only=False" not in path.read_text(), path
