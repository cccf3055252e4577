"""The text that agrees most with all: CIDEr-D between texts is pycocoevalcap's."""

from __future__ import annotations

import random

import numpy as np
import pytest

from ammrg.metrics.consensus import Consensus
from ammrg.metrics.language import language_statistics

WORDS = ["the", "heart", "lungs", "are", "is", "clear", "no", "effusion", "pneumothorax", "large", "normal", "seen"]


def drawn(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(1, 30))) for _ in range(count)]


@pytest.mark.parametrize("seed", range(5))
def test_agreement_is_cider_of_each_text_with_each(seed: int) -> None:
    texts = drawn(7, seed)
    found = Consensus(texts).agreement(texts)
    hypotheses = [text for text in texts for _ in texts]
    expected = language_statistics(texts * len(texts), hypotheses).cider
    np.testing.assert_allclose(found, expected.reshape(len(texts), -1), atol=1e-12)


def test_the_typical_text_is_chosen_and_the_first_of_equals() -> None:
    corpus = drawn(50, 9)
    normal, near = "the heart is normal no effusion seen", "the heart is normal no effusion"
    assert Consensus(corpus).choose([near, "lungs large", normal, normal, "pneumothorax"]) == 2
    assert Consensus(corpus).choose(["no effusion"]) == 0


def test_an_empty_text_agrees_with_nothing() -> None:
    assert not Consensus(drawn(5, 1)).agreement(["", "no effusion"])[0].any()
    assert Consensus(drawn(5, 1)).choose(["", "no effusion", "no effusion seen"]) > 0
