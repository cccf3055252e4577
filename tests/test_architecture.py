"""Imports follow the table of docs/architecture.md, and never go in a circle."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ammrg.extras import OURS

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
CHOOSING = {"import_module", "__import__", "find_spec"}
"""Functions that import a module, or look for one, by a name that is found while the program runs."""


def test_every_room_is_in_the_table_and_every_row_is_a_room() -> None:
    assert len(house.sources()) > 200
    for room in ROOMS:
        assert (ROOT / room / "__init__.py").is_file() or room == "benchmarks", room
    packages = {path.parent.relative_to(ROOT).as_posix() for top in house.TOPS for path in (ROOT / top).rglob("*.py")}
    first_floors = {
        package for package in packages if package.count("/") <= (package.split("/")[0] in ("ammrg", "experiments"))
    }
    assert first_floors == set(ROOMS) | {package for package in first_floors if package.startswith(SHELLS)}
    assert all((ROOT / package / "__init__.py").is_file() for package in packages - {"benchmarks"}), "not in the wheel"
    assert not [path for path in house.sources().values() if path.name == "utils.py"]


def test_all_code_lies_in_rooms() -> None:
    others = {"tests", "docs", "build"}
    folders = [path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")]
    code = {path.name for path in folders if not (path / "pyvenv.cfg").exists() and any(path.rglob("*.py"))}
    assert code - others == set(house.TOPS)
    assert set(house.TOPS) == set(OURS)
    assert not list(ROOT.glob("*.py"))


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


@pytest.mark.parametrize(
    "text",
    [
        "from ammrg.evaluation import scoring",
        "from ammrg.evaluation.scoring import score",
        "import ammrg.evaluation.scoring as s",
        "def late():\n    import ammrg.evaluation.scoring",
        "if TYPE_CHECKING:\n    from ammrg.evaluation import scoring",
        "import importlib\nimportlib.import_module('ammrg.evaluation.scoring')",
        "from ammrg import evaluate",
        "import ammrg.evaluation",
    ],
)
def test_no_way_of_importing_is_overlooked(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "new.py").write_text(text)
    files = {name: path for name, path in house.sources().items() if name.startswith("ammrg")}
    monkeypatch.setattr(house, "sources", lambda: {**files, "ammrg.text.new": tmp_path / "new.py"})
    assert "ammrg/evaluation" in house.arrows()["ammrg/text"]


def test_relative_imports_are_refused(tmp_path: Path) -> None:
    (tmp_path / "new.py").write_text("from . import labeler")
    with pytest.raises(AssertionError, match="relative import"):
        list(house.named_in(tmp_path / "new.py"))


def test_modules_chosen_while_running_are_imported_in_few_places() -> None:
    def chooses(path: Path) -> bool:
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        return any(house.called(node) in CHOOSING and not isinstance(node.args[0], ast.Constant) for node in calls)

    assert {module for module, path in house.sources().items() if chooses(path)} == {
        "ammrg",  # its public names
        "ammrg.commands.program",  # the module of a command
        "benchmarks.mutants",  # what its tests import, before a process is forked for each mutant
        "datamodules.sources.reading",  # the reader of a data set
        "experiments.runs.run",  # classes that settings name
        "experiments.runs.settings",
        "experiments.training.setting_names",
        "experiments.training.settings_parser",
    }


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
