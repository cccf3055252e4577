"""Mutants of a source file: one small change each, most by the operators of Cosmic Ray (docs/tested.md)."""

from __future__ import annotations

import ast
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

STRINGS = ("string", "strings", "fstring")
"""parso's names of a string literal, of several in a row, and of one with fields."""


class Mutant(NamedTuple):
    """A source file with one change."""

    path: str
    line: int
    operator: str
    occurrence: int
    """Which of the operator's changes of this file, from 0."""
    before: str
    """The changed lines as they are."""
    after: str
    """The same lines in the mutant."""

    @property
    def name(self) -> str:
        """File, line and change, on one line."""
        return f"{self.path}:{self.line} {self.operator}: `{self.before}` -> `{self.after}`"


def operators() -> dict[str, Any]:
    """Name -> operator: those of Cosmic Ray that need no setting, and one of ours for tables of words.

    Raises:
        ImportError: if Cosmic Ray is not installed.
    """
    from cosmic_ray.operators.operator import Operator
    from cosmic_ray.plugins import get_operator, operator_names

    class LostEntry(Operator):
        """Replace a string in a tuple or list, so that the table no longer holds it."""

        def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
            listed = node.type in STRINGS and node.parent.type == "testlist_comp"
            if listed and node.parent.children[-1].type != "sync_comp_for":
                yield node.start_pos, node.end_pos

        def mutate(self, node: Any, index: int) -> Any:
            import parso

            leaf = parso.parse("'lost entry'").children[0]
            leaf.prefix = node.get_first_leaf().prefix
            return leaf

        @classmethod
        def examples(cls) -> tuple[()]:
            return ()

    found = {name: get_operator(name)() for name in operator_names() if not name.startswith("core/Variable")}
    return {**{name.removeprefix("core/"): operator for name, operator in found.items()}, "LostEntry": LostEntry()}


def places(source: str, known: dict[str, Any]) -> dict[tuple[Any, Any], list[tuple[str, int]]]:
    """Where a source can be changed: (start, end) of each place -> its changes, each (operator, occurrence)."""
    from cosmic_ray.ast import ast_nodes, get_ast

    found = defaultdict(list)
    counts: dict[str, int] = defaultdict(int)
    for node in ast_nodes(get_ast(source)):
        for name, operator in known.items():
            for place in operator.mutation_positions(node):
                found[place].append((name, counts[name]))
                counts[name] += 1
    return dict(found)


def mutated(source: str, known: dict[str, Any], operator: str, occurrence: int) -> str:
    """The source with one change."""
    from cosmic_ray.mutating import mutate_code

    return str(mutate_code(source, known[operator], occurrence))


def sampled(root: Path, paths: list[str], count: int, draw: random.Random) -> tuple[list[Mutant], int]:
    """Up to ``count`` mutants of the files, one at a place, and the number of places.

    Places are equally likely, then the changes of a place, so that a sum with 11 changes counts as one. Changes that no
    test can see, because they leave the same code without its annotations, are not drawn, nor those that leave none
    (``**`` for the ``*`` before keyword arguments).
    """
    known = operators()
    sources = {path: (root / path).read_text(encoding="utf-8") for path in paths}
    sites = [(path, place, kinds) for path in paths for place, kinds in sorted(places(sources[path], known).items())]
    drawn: list[Mutant] = []
    for path, _, kinds in draw.sample(sites, len(sites)):
        if len(drawn) == count:
            break
        operator, occurrence = draw.choice(kinds)
        changed = mutated(sources[path], known, operator, occurrence)
        if _code(changed) not in (None, _code(sources[path])):
            drawn.append(Mutant(path, *_changed_lines(sources[path], changed, operator, occurrence)))
    return drawn, len(sites)


def _changed_lines(source: str, changed: str, operator: str, occurrence: int) -> tuple[int, str, int, str, str]:
    was, now = source.splitlines(), changed.splitlines()
    first = next(i for i, (a, b) in enumerate(zip(was, now, strict=False)) if a != b)
    same = next(k for k, (a, b) in enumerate(zip(reversed(was), reversed(now), strict=False)) if a != b)
    before, after = (" ".join(" ".join(lines[first : len(lines) - same]).split()) for lines in (was, now))
    return first + 1, operator, occurrence, before, after


def _code(source: str) -> str | None:
    """What a source does: its syntax tree without annotations, which Python never evaluates here; None: no Python."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        for field in ("annotation", "returns"):
            if getattr(node, field, None) is not None:
                setattr(node, field, ast.Constant(...))
    return ast.dump(tree)
