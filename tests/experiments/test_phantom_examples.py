"""The drawn studies of ``make demo``: two films each, titled by what was drawn, the same each time."""

from __future__ import annotations

from pathlib import Path

from ammrg.demo.examples import example_cards, example_folders, example_note
from ammrg.findings import FINDINGS
from datamodules.sources.phantom.plan import StudyPlan
from datamodules.sources.phantom.signs import Sign
from experiments.data.phantom_examples import WANTED, draw_examples, title


def test_examples_are_drawn_with_titles_that_say_what_they_show(tmp_path: Path) -> None:
    folders = example_folders(draw_examples(tmp_path))
    cards = example_cards(folders)
    assert [card["films"] for card in cards] == [2] * len(WANTED)
    assert cards[0]["title"] == "Normal"
    for card, wanted in zip(cards[1:], WANTED[1:], strict=True):
        named = card["title"].split(", ")
        assert len(named) == wanted
        assert all(name.startswith(FINDINGS) for name in named)
    assert [path.name for path in sorted(folders[0].iterdir())] == ["1 frontal.png", "2 lateral.png"]
    assert "show no patient" in example_note(tmp_path)
    first = {path: path.read_bytes() for path in tmp_path.rglob("*.png")}
    draw_examples(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.png")} == first


def test_a_title_names_sides() -> None:
    signs = (Sign("Edema", False, "left", "lower", 0.5, "", 0.4), Sign("Fracture", False, "right", "mid", 0.5))
    plan = StudyPlan("1", "1", "test", ("frontal",), signs, (0,))
    assert title(plan) == "Edema both sides, Fracture right"
    assert title(plan._replace(signs=())) == "Normal"
