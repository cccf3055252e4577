"""Options of all commands: whole names, and one sentence where one is wrong."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

from ammrg.commands.parser import CommandParser, unknown_option
from experiments.__main__ import PROGRAM, main

ROOT = Path(__file__).parents[2]


def status(argv: list[str]) -> Any:
    """Exit status, whoever ends the command."""
    try:
        return main(argv)
    except SystemExit as stop:
        return stop.code


@pytest.mark.parametrize(
    ("argv", "near"),
    [
        (["export", "run", "--pub"], "--public"),
        (["score", "reports.jsonl", "--quie"], "--quiet"),
        (["runs", "--js"], "--json"),
        (["memory", "show", "bank", "--ou=x"], "--out"),
        (["models", "phantom", "--see=3"], "--seed"),
        (["sweep", "s.yaml", "--out=x", "--dr", "fit"], "--dry"),
        (["prepare", "--dataset=phantom", "--ou=x"], "--out"),
        (["convert", "--data=a", "--to=r2gen", "--out=b", "--spl=test"], "--split"),
    ],
)
def test_a_cut_option_is_refused_and_the_whole_one_named(
    argv: list[str], near: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(argv) == 2
    said = capsys.readouterr().err
    assert re.fullmatch(rf"error: --\w+: no such option(; the nearest: .*{near}.*)? \(.* --help lists all\)\n", said)


@pytest.mark.parametrize("command", [name for name, one in PROGRAM.commands.items() if not one.has_more_options])
def test_the_source_holds_every_option_of_the_parser(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that none that there is can be refused before the parser sees it."""
    made: list[CommandParser] = []

    def stop(parser: CommandParser, argv: Any = None, namespace: Any = None) -> NoReturn:
        made.append(parser)
        raise SystemExit(0)

    monkeypatch.setattr(CommandParser, "parse_args", stop)
    with pytest.raises(SystemExit):
        main([command])
    parsers = [*made, *made[0]._below()]
    options = [option for parser in parsers for option in parser._option_string_actions if option.startswith("--")]
    assert len(options) > 1
    assert unknown_option(PROGRAM.commands[command].module, options) is None
    assert "--never: no such option" in str(unknown_option(PROGRAM.commands[command].module, [*options, "--never=3"]))


def test_nothing_heavy_is_loaded_for_a_cut_option() -> None:
    asked = "main(['export', 'x', '--pub']), 'torch' in sys.modules"
    code = f"import sys; from experiments.__main__ import main; print({asked})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]


def test_an_ablation_hands_on_what_it_does_not_know_but_cuts_nothing_short() -> None:
    parser = CommandParser()
    parser.add_argument("--dataset")
    options, rest = parser.parse_known_args(["--data=x"])
    assert (options.dataset, rest) == (None, ["--data=x"])


def test_no_command_has_a_parser_of_another_kind() -> None:
    files = [path for room in ("ammrg", "experiments", "benchmarks", "docs") for path in (ROOT / room).rglob("*.py")]
    made = [path.name for path in files if "argparse.ArgumentParser(" in path.read_text().replace("CommandParser", "")]
    assert made in ([], ["parser.py"])
    assert sum("CommandParser(" in path.read_text() for path in files) > 20
