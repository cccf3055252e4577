"""Options of all commands: whole names, and one sentence where one is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from experiments.__main__ import main
from experiments.command_parser import CommandParser

ROOT = Path(__file__).parents[2]


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
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert re.fullmatch(rf"error: --\w+: no such option(; the nearest are .*{near}.*)? \(.* --help lists all\)\n", said)


def test_an_ablation_hands_on_what_it_does_not_know_but_cuts_nothing_short() -> None:
    parser = CommandParser()
    parser.add_argument("--dataset")
    options, rest = parser.parse_known_args(["--data=x"])
    assert (options.dataset, rest) == (None, ["--data=x"])


def test_no_command_has_a_parser_of_another_kind() -> None:
    files = [path for room in ("experiments", "benchmarks", "docs") for path in (ROOT / room).rglob("*.py")]
    made = [path.name for path in files if "argparse.ArgumentParser(" in path.read_text().replace("CommandParser", "")]
    assert made in ([], ["command_parser.py"])
    assert sum("CommandParser(" in path.read_text() for path in files) > 20
