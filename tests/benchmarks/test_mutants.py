"""Mutants: which tests belong to a file, that a fault is seen and none is invented, and which changes are drawn."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks._mutated import mutated, operators, sampled
from benchmarks.mutants import PARTS, ROOT, attempt, chosen_tests, files, main, sources

LINES = "ammrg/text/lines.py"


def test_the_tests_of_a_file_are_nearest_first() -> None:
    of_bank = chosen_tests("ammrg/memory/bank.py", files(PARTS["memory"].tests))
    assert of_bank[0] == ["tests/memory/test_bank.py"]
    assert "tests/memory/test_bank_files.py" in of_bank[1]
    of_cues = chosen_tests("ammrg/text/cues.py", files(PARTS["labeler"].tests))
    assert {"tests/text/test_labeler.py", "tests/text/test_labelled_sentences.py"} <= set(of_cues[1])


def test_every_file_of_a_part_has_tests_and_no_other_part() -> None:
    every = [path for part in PARTS for path in sources(part)]
    assert len(set(every)) == len(every) > 50
    for part in PARTS:
        for path in sources(part):
            assert any(chosen_tests(path, files(PARTS[part].tests))) or path.endswith("__init__.py"), path


@pytest.mark.parametrize(("changed", "result"), [(False, "survived"), (True, "killed")])
def test_a_fault_is_seen_and_none_is_invented(tmp_path: Path, changed: bool, result: str) -> None:
    code = (ROOT / LINES).read_text(encoding="utf-8")
    code = f'{code}\nENDING_LINE = "nothing ends a line"\n' if changed else code
    tests = [["tests/text/test_labelled_sentences.py"]]
    assert attempt(LINES, code, tests, tmp_path / "report") == result, (tmp_path / "report").read_text()
    assert (ROOT / LINES).read_text(encoding="utf-8") in (code, code.partition('\nENDING_LINE = "nothing')[0])


def test_changes_are_drawn_with_a_seed_and_change_what_the_code_does(tmp_path: Path) -> None:
    pytest.importorskip("cosmic_ray")
    (tmp_path / "a.py").write_text(
        'WORDS = ("no", "not")\n\n\ndef f(x: int | None, *, y: int = 1) -> int | str:\n    return x + y\n'
    )
    drawn, places = sampled(tmp_path, ["a.py"], 99, random.Random(0))
    assert drawn == sampled(tmp_path, ["a.py"], 99, random.Random(0))[0]
    assert {mutant.line for mutant in drawn} == {1, 4, 5}
    assert [m.before for m in drawn].count('WORDS = ("no", "not")') == 2
    assert len(drawn) < places  # the unions in annotations change nothing
    for mutant in drawn:
        code = mutated((tmp_path / "a.py").read_text(), operators(), mutant.operator, mutant.occurrence)
        assert mutant.after in " ".join(code.split())


def test_without_cosmic_ray_one_sentence_says_where_to_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cosmic_ray.plugins", None)
    with pytest.raises(SystemExit):
        main([])
    assert (
        "error: cosmic_ray is not installed: the first lines of benchmarks/mutants.py say how"
        in capsys.readouterr().err
    )
