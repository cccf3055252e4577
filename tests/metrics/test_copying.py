from __future__ import annotations

import pytest

from ammrg.metrics.copying import copied_share, copying


@pytest.mark.parametrize(
    ("text", "sources", "share"),
    [
        ("a b c d e f", ["x a b c d y"], 4 / 6),
        ("a b c d e f", ["a b", "c d e f"], 4 / 6),  # the best source alone, not both together
        ("a b c d e f", ["f e d c b a"], 0.0),
        ("a b", ["x a b"], 1.0),  # shorter than a run
        ("a b a b a b", ["a b a"], 5 / 6),
        ("", ["a"], 0.0),
        ("a b c", [], 0.0),
    ],
)
def test_share_by_hand(text: str, sources: list[str], share: float) -> None:
    assert copied_share(text, sources, run=3) == pytest.approx(share)


def test_copying_beside_strangers() -> None:
    generated = ["The heart is big.", "Clear lungs, no effusion.", "Never mind."]
    retrieved = [["The heart is big.", "Other."], ["Clear lungs, no nodule."], []]
    found = copying(generated, retrieved, ["p", "q", "r"], run=3)
    assert found is not None
    assert found.studies == 2
    assert found.share == pytest.approx((1.0 + 4 / 6) / 2)  # "clear lungs , no" of six words
    assert found.whole == 0.5
    assert found.share_of_others == 0.0
    assert copying(["a"], [[]], ["p"]) is None


def test_strangers_are_other_patients() -> None:
    """Each patient's two studies stand together, and copy from each other's reports."""
    texts = [f"word{patient} and so on" for patient in range(4) for _ in range(2)]
    patients = [f"p{patient}" for patient in range(4) for _ in range(2)]
    found = copying(texts, [[text] for text in texts], patients, run=3)
    assert found is not None
    assert found.share_of_others == pytest.approx(3 / 4)  # "and so on", never their own first word
    alone = copying(texts[:2], [[text] for text in texts[:2]], patients[:2], run=3)
    assert alone is not None
    assert alone.share_of_others is None
