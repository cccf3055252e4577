"""What one constant report reaches on IU X-Ray's test part, to the last digit of the published-protocol figures."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ammrg.metrics.guards import best_constant
from ammrg.metrics.language import language_scores
from ammrg.text.cleaning import r2gen

RAW = Path(os.environ.get("AMMRG_IU_XRAY", Path(__file__).parents[2].parent / "shared/data/iu_xray"))
METRICS = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider")
EXPECTED = {
    "cider": (0.495, 0.313, 0.221, 0.161, 0.375, 0.544),
    "bleu4": (0.485, 0.307, 0.213, 0.160, 0.370, 0.367),
}


@pytest.mark.skipif(not (RAW / "annotation.json").is_file(), reason="the IU X-Ray data are not here")
def test_the_constant_report_of_iu_xray() -> None:
    """Chosen on validation among the 200 most frequent training reports, references cleaned but not cut."""
    parts = json.loads((RAW / "annotation.json").read_text(encoding="utf-8"))
    texts = {name: [entry["report"] for entry in entries] for name, entries in parts.items()}
    references = [r2gen(text, "iu_xray") for text in texts["test"]]
    assert len(references) == 295
    chosen = best_constant(texts["train"], texts["val"], lambda text: r2gen(text, "iu_xray"))
    for name, expected in EXPECTED.items():
        scores = language_scores(references, [r2gen(chosen[name], "iu_xray")] * len(references))
        assert tuple(round(scores[key], 3) for key in METRICS) == expected
    cleaned = {r2gen(text, "iu_xray") for text in texts["train"]}
    assert sum(text in cleaned for text in references) == 139
