"""Every command that a page tells people to type exists, with each of its options and variables."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from ammrg.__main__ import main as ammrg
from experiments.__main__ import main as experiments

ROOT = Path(__file__).parents[1]
PAGES = sorted(page for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"))
TYPED = re.compile(r"(?:[A-Z_]+=\S+ )*(make|ammrg|\S*python(?:3\.11)? -m (?:experiments|ammrg|benchmarks)\S*)(?= |$)")
TRAINER = ("fit", "validate", "test", "predict")
PARTS = {
    "model": (
        "lightning_modules.disease_classification.DiseaseClassification",
        "lightning_modules.report_generation.ReportGeneration",
        "lightning_modules.report_encoding.ReportEncoding",
    ),
    "data": ("datamodules.studies.StudyDataModule",),
    "trainer": ("lightning.pytorch.Trainer",),
}
"""Group of settings -> the classes whose arguments it names."""
AS_TYPED = {"NAME", "SETTING", "COMMAND"}
"""Words that stand for a name."""


class Typed(NamedTuple):
    """A command of a page."""

    page: Path
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}: {shlex.join(self.words)}"


def lines(text: str) -> Iterator[str]:
    """The lines of a page's blocks of code and its pieces of code within sentences."""
    for fenced, indented in re.findall(r"^```\w*\n(.*?)^```|((?:^    .+\n)+)", text, re.DOTALL | re.MULTILINE):
        yield from re.sub(r"\\\n\s*", " ", fenced or indented).splitlines()
    for piece in re.findall(r"(?<!`)`([^`]+)`(?!`)", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)):
        yield " ".join(piece.split())


@cache
def commands() -> list[Typed]:
    """All commands of all pages, each page's once."""
    found = []
    for page in PAGES:
        for line in lines(page.read_text(encoding="utf-8")):
            if TYPED.match(line.strip()):
                with contextlib.suppress(ValueError):  # a quote that the next line closes
                    found.append(Typed(page, tuple(shlex.split(line.strip(), comments=True))))
    return list(dict.fromkeys(found))


def program(typed: Typed) -> int:
    """Where the program stands among the words of a command, behind variables, ``python`` and ``-m``."""
    place = next(i for i, word in enumerate(typed.words) if not re.match(r"[A-Z_]+=", word))
    return place + 2 if "python" in typed.words[place] else place


def of(*names: str) -> list[Typed]:
    """The commands of these programs."""
    return [each for each in commands() if each.words[program(each)].partition(".")[0] in names]


@cache
def help_of(main: Callable[[Sequence[str]], int], words: tuple[str, ...]) -> str:
    """What ``--help`` of a command prints."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        main([*words, "--help"])
    return shown.getvalue()


@cache
def settings(group: str) -> set[str]:
    """Names of the settings of a group."""
    found: set[str] = {"class_path", "init_args"}
    for path in PARTS[group]:
        module, _, name = path.rpartition(".")
        found |= set(inspect.signature(getattr(importlib.import_module(module), name)).parameters)
    return found


def unknown_options(words: Sequence[str], shown: str) -> list[str]:
    """Options that neither the help of a command names nor a group of settings has."""
    wrong = []
    for word in words:
        if not word.startswith("--") or word == "--help":
            continue
        name = word.partition("=")[0].removeprefix("--")
        group, dot, rest = name.partition(".")
        known = (
            rest.split(".")[0] in settings(group)
            if dot and group in PARTS
            else re.search(rf"--{re.escape(name)}\b", shown)
        )
        if not known and name not in ("seed_everything", "ckpt_path", "new_studies"):
            wrong.append(word)
    return wrong


def subcommand(words: Sequence[str]) -> tuple[str, ...]:
    """The words that name a command: the first, and its second where the first has commands of its own."""
    deep = 2 if words[0] in ("memory", "models") else 1
    return tuple(word for word in words[:deep] if not word.startswith("-"))


def test_pages_have_commands() -> None:
    assert len(commands()) > 150


@pytest.mark.parametrize("typed", of("make"), ids=str)
def test_make(typed: Typed) -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    goals = set(re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split())  # type: ignore[index]
    variables = set(re.findall(r"^([A-Z_]+) +\?=", text, re.MULTILINE))
    words = typed.words[typed.words.index("make") + 1 :]
    given = {name: value for name, equals, value in (word.partition("=") for word in words) if equals}
    assert given.keys() <= variables
    assert {word for word in words if "=" not in word and not word.startswith("-")} <= goals
    helps = {goal: help_of(experiments, (goal,)) for goal in words if goal in ("demo", "serve", "guards", "export")}
    options = shlex.split(given.get("ARGS", "")) if "test" not in words else []
    assert not unknown_options(options, "".join(helps.values()))


@pytest.mark.parametrize("typed", of("ammrg", "experiments"), ids=str)
def test_programs(typed: Typed) -> None:
    place = program(typed)
    main = {"ammrg": ammrg, "experiments": experiments}[typed.words[place]]
    rest = [word.strip("[]") for word in typed.words[place + 1 :]]
    if not rest or rest[0] in AS_TYPED:
        return
    shown = help_of(main, subcommand(rest)) if rest[0] not in TRAINER else ""
    assert rest[0] in TRAINER or "usage" in shown, shown
    assert not unknown_options(rest, shown)


@pytest.mark.parametrize("typed", of("benchmarks"), ids=str)
def test_benchmarks(typed: Typed) -> None:
    place = program(typed)
    if (module := typed.words[place]).rpartition(".")[2] in AS_TYPED:
        return
    main = importlib.import_module(module).main
    shown = help_of(main, ()) if inspect.signature(main).parameters else ""
    assert not unknown_options([word.strip("[]") for word in typed.words[place + 1 :]], shown)


def test_an_option_that_is_not_there_is_seen() -> None:
    assert unknown_options(["--model.lr=1", "--only", "x", "--seed_everything=3"], "--only NAME") == []
    assert unknown_options(["--model.rate=1", "--onli", "--trainer.epochs"], "--only NAME") == [
        "--model.rate=1",
        "--onli",
        "--trainer.epochs",
    ]
