"""The case on one page: long texts stay within their place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from ammrg.findings import FINDINGS
from ammrg.imaging.panel import CUT, CasePage, PageFilm, draw_case


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
