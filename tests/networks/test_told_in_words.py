"""What a language model writes of what it is told, in words."""

from __future__ import annotations

from ammrg.networks.told import told_in_words


def test_a_score_that_cannot_be_had_is_named_with_its_reason() -> None:
    scores = {"told_f1": 0.9784, "told_side_f1": 0.9, "told_level_f1": 0.8}
    start = "told the findings and places of the true report, it writes them with micro F1 (13) 0.978"
    assert told_in_words(scores) == f"{start}, side F1 0.900, level F1 0.800"
    unplaced = {**scores, "told_side_f1": None, "told_level_f1": None}
    assert told_in_words(unplaced) == f"{start}; no side F1 and level F1, because no reference names such a place"
