"""``python docs/draw_architecture.py``: draw docs/architecture.svg, the rooms and their arrows, from the imports.

The same reading of the imports is what ``tests/test_architecture.py`` holds the rooms to.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOPS = ("ammrg", "datamodules", "lightning_modules", "callbacks", "experiments", "benchmarks")
TABLE = ROOT / "docs" / "architecture.md"
DRAWN = ROOT / "docs" / "architecture.svg"
GROUND = "ammrg"
"""The loose modules of ``ammrg``, which any room may import: their arrows are not drawn."""
DOORS = ("ammrg", "ammrg.__main__")
"""``from ammrg import ...`` and the command ``ammrg``: they name what others may use, and belong to no room."""
VERSION = "ammrg.__version__"
"""The one value of the public entry that rooms may import: it depends on no room."""


def sources() -> dict[str, Path]:
    """Dotted name -> file of every module."""
    found = {}
    for top in TOPS:
        for path in sorted((ROOT / top).rglob("*.py")):
            found[".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")] = path
    return found


def named_in(path: Path) -> Iterator[str]:
    """All that a file imports, at its top or within functions: ``a.b`` of ``import a.b``, ``a.b.c`` of
    ``from a.b import c`` and of ``import_module("a.b.c")``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; name the room"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and called(node) == "import_module" and isinstance(node.args[0], ast.Constant):
            yield str(node.args[0].value)


def called(node: ast.Call) -> str:
    """The last name of what a call calls: ``import_module`` of ``importlib.import_module(...)``."""
    return ast.unparse(node.func).rpartition(".")[2]


def module_graph() -> dict[str, set[str]]:
    """Module -> modules of this project that it imports; of ``from a.b import c`` the module ``a.b.c`` if there is one,
    else ``a.b``, which may be the ``__init__.py`` of a room."""
    files = sources()

    def module_of(name: str) -> str:
        while name and name not in files:
            name = name.rpartition(".")[0]
        return name

    return {
        module: {module_of(name) for name in named_in(path) if name != VERSION} - {module, ""}
        for module, path in files.items()
    }


def table() -> dict[str, set[str]]:
    """Room -> rooms that it may import, as the table of docs/architecture.md says."""
    rows = re.findall(r"^\| `([\w/]+)` \|[^|]*\|([^|]*)\|$", TABLE.read_text(encoding="utf-8"), re.MULTILINE)
    return {room: set(re.findall(r"`([\w/]+)`", allowed)) for room, allowed in rows}


def room_of(module: str, rooms: Mapping[str, object]) -> str:
    """The innermost room that a module lies in."""
    parts = module.split(".")
    return next(room for length in range(len(parts), 0, -1) if (room := "/".join(parts[:length])) in rooms)


def arrows() -> dict[str, set[str]]:
    """Room -> other rooms that its modules import."""
    rooms = table()
    found: dict[str, set[str]] = {room: set() for room in rooms}
    graph = module_graph()
    for module, imported in graph.items():
        if module in DOORS:
            continue
        room = room_of(module, rooms)
        behind = set().union(*(graph[name] if name in DOORS else {name} for name in imported))
        found[room] |= {room_of(name, rooms) for name in behind} - {room}
    return found


def without_shortcuts(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The arrows that no way through other rooms stands for."""

    def reached(room: str) -> set[str]:
        return graph[room].union(*(reached(other) for other in graph[room]))

    return {
        room: {other for other in below if not any(other in reached(between) for between in below - {other})}
        for room, below in graph.items()
    }


def draw(path: Path) -> None:
    """Draw the rooms in floors, each above all that it imports, and the arrows that no longer way stands for."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "rooms", "font.family": "sans-serif"})
    graph = {room: below - {GROUND} for room, below in arrows().items() if room != GROUND}

    def floor(room: str) -> int:
        return 1 + max(map(floor, graph[room]), default=0)

    floors: dict[int, list[str]] = {}
    for room in graph:
        floors.setdefault(floor(room), []).append(room)
    place = {
        room: ((number + 0.5) / len(rooms), height)
        for height, rooms in floors.items()
        for number, room in enumerate(rooms)
    }
    top = max(floors)
    figure, axes = plt.subplots(figsize=(13.5, 1.0 * (top + 1)))
    axes.set(xlim=(0, 1), ylim=(-0.5, top + 0.5))
    axes.axis("off")
    for room, below in without_shortcuts(graph).items():
        for other in sorted(below):
            axes.annotate(
                "",
                xy=(place[other][0], place[other][1] + 0.2),
                xytext=(place[room][0], place[room][1] - 0.2),
                arrowprops={"arrowstyle": "-|>", "color": "#7a8794", "linewidth": 0.9, "gid": f"{room} -> {other}"},
            )
    colours = {"ammrg": "#dcebf7", "experiments": "#fbe9d2", "benchmarks": "#ececec"}
    for room, (x, y) in {**place, f"{GROUND} (loose modules: under every room)": (0.5, 0)}.items():
        axes.text(
            x,
            y,
            room,
            ha="center",
            va="center",
            fontsize=10,
            bbox={
                "boxstyle": "round,pad=0.45",
                "edgecolor": "#44505c",
                "facecolor": colours.get(room.split("/")[0].split(" ")[0], "#e2f2e1"),
            },
        )
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None, "Title": "Rooms and their imports"})
    plt.close(figure)


def drawn_arrows(path: Path) -> set[str]:
    """``room -> other`` of every arrow of the drawing."""
    return set(re.findall(r'id="([\w/]+ -&gt; [\w/]+)"', path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    draw(DRAWN)
    print(DRAWN)
