from __future__ import annotations

import pytest

from ammrg.errors import ScoringError
from ammrg.metrics.protocols import protocol


def test_full_keeps_the_whole_text() -> None:
    full = protocol("full", "iu_xray")
    text = "Word. " * 200
    assert len(full.reference(text).split()) == 400
    assert full.hypothesis("A 1.5 cm Nodule.") == "a 1.5 cm nodule ."


@pytest.mark.parametrize(("dataset", "words"), [("iu_xray", 59), ("phantom", 59), ("mimic_cxr", 99)])
def test_r2gen_cuts_the_reference_alone(dataset: str, words: int) -> None:
    found = protocol("r2gen", dataset)
    text = "word " * 200
    assert len(found.reference(text).split()) == words
    assert len(found.hypothesis(text).split()) == 201


def test_r2gen_vocabulary_thresholds_the_reference_alone() -> None:
    found = protocol("r2gen", "iu_xray", train_texts=["Lungs clear."] * 3 + ["Rare mass."] * 2)
    assert found.reference("Lungs clear. Rare mass.") == "lungs clear . <unk> <unk> ."
    assert found.hypothesis("Lungs clear. Rare mass.") == "lungs clear . rare mass ."
    assert found.settings["vocabulary"] == 3


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ScoringError, match="rouge"):
        protocol("rouge", "iu_xray")
    with pytest.raises(ScoringError, match="padchest"):
        protocol("r2gen", "padchest")
