"""Imports follow the table of docs/architecture.md, and never go in a circle."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
SHELLS = ("lightning_modules", "datamodules", "callbacks")


def drawing() -> ModuleType:
    """docs/draw_architecture.py, which reads the imports."""
    spec = importlib.util.spec_from_file_location("draw_architecture", ROOT / "docs" / "draw_architecture.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


house = drawing()
ROOMS: dict[str, set[str]] = house.table()
ARROWS: dict[str, set[str]] = house.arrows()


def test_every_room_is_in_the_table_and_every_row_is_a_room() -> None:
    assert len(house.sources()) > 200
    for room in ROOMS:
        assert (ROOT / room / "__init__.py").is_file() or room == "benchmarks", room
    packages = {path.parent.relative_to(ROOT).as_posix() for top in house.TOPS for path in (ROOT / top).rglob("*.py")}
    first_floors = {
        package for package in packages if package.count("/") <= (package.split("/")[0] in ("ammrg", "experiments"))
    }
    assert first_floors == set(ROOMS) | {package for package in first_floors if package.startswith(SHELLS)}
    assert not list(ROOT.glob("*/**/utils.py")) or all(".venv" in str(path) for path in ROOT.glob("*/**/utils.py"))


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_imports_what_its_row_allows_and_nothing_else(room: str) -> None:
    assert ARROWS[room] == ROOMS[room]


def test_no_import_goes_in_a_circle() -> None:
    graph: dict[str, set[str]] = house.module_graph()
    while leaves := {module for module, imported in graph.items() if not imported & graph.keys()}:
        graph = {module: imported for module, imported in graph.items() if module not in leaves}
    assert not graph, f"these import each other, or stand above some that do: {sorted(graph)}"


def test_a_circle_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    turned = house.module_graph()
    turned["ammrg.errors"].add("ammrg.findings")
    monkeypatch.setattr(house, "module_graph", lambda: turned)
    with pytest.raises(AssertionError, match=r"ammrg\.errors"):
        test_no_import_goes_in_a_circle()


def test_science_knows_neither_lightning_nor_wandb_and_nothing_pickles() -> None:
    for module, path in house.sources().items():
        tops = {name.split(".")[0] for name in house.named_in(path)}
        assert not {"pickle", "torchvision", "dill", "joblib"} & tops, path
        assert "trust_remote_code=True" not in path.read_text(), path
        assert "weights_only=False" not in path.read_text(), path
        if module.startswith("ammrg"):
            assert not {"lightning", "pytorch_lightning", "wandb"} & tops, path


def test_the_drawn_map_is_that_of_the_imports() -> None:
    graph = {room: below - {house.GROUND} for room, below in ARROWS.items() if room != house.GROUND}
    wanted = {f"{room} -&gt; {other}" for room, below in house.without_shortcuts(graph).items() for other in below}
    assert house.drawn_arrows(house.DRAWN) == wanted, "run python docs/draw_architecture.py"
    drawn = house.DRAWN.read_text()
    assert all(f">{room}<" in drawn for room in ROOMS if room != house.GROUND)
