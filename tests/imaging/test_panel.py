"""The case on one page: long texts stay within their place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from ammrg.findings import FINDINGS
from ammrg.imaging.panel import CUT, GAP, LEFT, RIGHT, RIGHT_AT, CasePage, PageFilm, draw_case


@pytest.mark.parametrize("words", [40, 400, 5000])
def test_a_text_is_set_smaller_and_then_cut_where_the_page_ends(
    words: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k)))
    report, reference = "effusion " * words, "Normal."
    notes = ["This model was trained.", "Distance."]
    known = dict.fromkeys(FINDINGS, 0.4)
    page = CasePage([PageFilm(np.zeros((8, 8), np.uint8))], {}, known, known, report, reference, "s", notes)
    draw_case(page, tmp_path / "case.png")
    texts = {text.get_text(): text.get_window_extent() for text in figures[0].texts}
    (written,) = (text for text in texts if text.startswith("effusion"))
    assert (CUT in written) == (words == 5000)
    assert words == 5000 or written.split() == report.split()
    assert reference in texts
    upper = max(texts[note].y1 for note in notes)
    assert min(texts[written].y0, texts[reference].y0) > upper


@pytest.mark.parametrize(
    "word", ["W" * 80, "0123456789" * 8, "1.2.840.113619.2.5.1762583153.215519.978957063", "i" * 400]
)
def test_a_word_longer_than_its_column_is_broken(word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k)))
    known = dict.fromkeys(FINDINGS, 0.4)
    page = CasePage(
        [PageFilm(np.zeros((8, 8), np.uint8))],
        {},
        known,
        dict.fromkeys(FINDINGS, 0.3),
        report=f"The file {word} is named. $",
        reference=word,
        title=f"study {word} {word}",
        notes=[f"WARNING: unlike the films: {', '.join([word] * 5)}."],
        warnings=[f"WARNING: {word} may mislead. $"],
        reasons=[f"0.31 report of {word[:60]}: $ {word[:60]}", "0.30 report of s1: none"],
    )
    draw_case(page, tmp_path / "case.png")
    (figure,) = figures
    places = [text.get_window_extent() for text in figure.texts]
    for number, (text, place) in enumerate(zip(figure.texts, places, strict=True)):
        content = text.get_text()
        column = (LEFT, RIGHT) if place.x0 < 2 * LEFT * figure.bbox.width else (0.3, RIGHT_AT - GAP / 2)
        right = RIGHT if place.x0 >= RIGHT_AT * figure.bbox.width - 1 else column[1]
        assert place.x1 <= right * figure.bbox.width + 2, content
        assert not any(place.overlaps(other) for other in places[number + 1 :]), content
    drawn = "".join("".join(text.get_text().split()) for text in figure.texts)
    for whole in (
        f"Thefile{word}isnamed.$",
        f"WARNING:{word}maymislead.$",
        ",".join([word] * 5),
        f"study{word[:20]}",
        "PleuralOther",
    ):
        assert whole in drawn


def test_the_title_of_a_map_tells_its_probability_from_the_threshold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (drawn.append(self), save(self, *a, **k)))
    maps = {"Edema": np.eye(4, dtype=np.float32)}
    known = dict.fromkeys(FINDINGS, 0.0036)
    page = CasePage(
        [PageFilm(np.zeros((8, 8), np.uint8))], maps, known, dict.fromkeys(FINDINGS, 0.0011), "r", None, "s"
    )
    draw_case(page, tmp_path / "case.png")
    assert "Edema p = 0.004" in [axes.get_title(loc) for axes in drawn[0].axes for loc in ("left", "center")]


@pytest.mark.parametrize("films", [1, 2, 6])
def test_the_title_of_a_map_says_that_its_finding_is_not_found_and_is_no_wider_than_its_film(
    films: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (drawn.append(self), save(self, *a, **k)))
    names = ("Enlarged Cardiomediastinum", "Fracture")
    shown = [PageFilm(np.zeros((8, 8), np.uint8), number=number) for number in range(1, films + 1)]
    known = {**dict.fromkeys(FINDINGS, 0.12), "Fracture": 0.9}
    page = CasePage(
        shown,
        dict.fromkeys(names, np.eye(4, dtype=np.float32)),
        known,
        dict.fromkeys(FINDINGS, 0.3),
        report="r",
        reference=None,
        title="s",
    )
    draw_case(page, tmp_path / "case.png")
    titled = {" ".join(axes.get_title("left").split("\n")): axes for axes in drawn[0].axes}
    titles = {title: axes for title, axes in titled.items() if title.startswith(names)}
    assert list(titles) == ["Enlarged Cardiomediastinum p = 0.12, not found, film 1", "Fracture p = 0.90, film 1"]
    for axes in titles.values():
        assert axes._left_title.get_window_extent().width <= axes.get_window_extent().width + 2
