from __future__ import annotations

import re

import pytest

from ammrg.text.labeler import affirmed
from ammrg.text.report_terms import NUM_TERMS, TERMS, affirmed_terms


def said(text: str) -> set[str]:
    values = affirmed_terms(text)
    assert len(values) == NUM_TERMS
    assert set(values) <= {0.0, 1.0}
    return {term.split("|")[0] for term, value in zip(TERMS, values, strict=True) if value}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", set()),
        ("The heart is normal in size. The lungs are clear.", set()),
        ("No focal consolidation, pleural effusion, or pneumothorax.", set()),
        ("Mild cardiomegaly with a tortuous aorta.", {"mild*", "cardiomegaly", "tortuous"}),
        ("HEALED LEFT RIB FRACTURES.", {"old", "left", "rib", "fractur*"}),
        ("Low lung volumes with bibasilar atelectasis.", {"hypo ?inflat*", "bas(?:e", "atelecta*"}),
        ("Low-lung-volumes.", {"hypo ?inflat*"}),
        ("Air space disease; airspace disease.", {"air ?space disease"}),
        ("No effusion but there is a right-sided port.", {"right", "catheter*"}),
        ("Possible small effusion.", {"small", "effusions?"}),  # in doubt is named
        ("The heart is not enlarged.", set()),
    ],
)
def test_what_is_affirmed_is_told(text: str, expected: set[str]) -> None:
    assert {term.split("|")[0] for term in said(text)} == {term.split("|")[0] for term in expected}


def test_every_term_can_be_said_and_none_captures() -> None:
    """A term that no text can reach, or a group that shifts those after it, would train an output on nothing."""
    for term in TERMS:
        assert re.compile(term.replace("*", "")).groups == 0, term
        first = re.sub(r"\(\?:|\)|\\w|\*", "", term.split("|")[0]).replace(" ?", " ").replace("s?", "s")
        assert term.split("|")[0] in said(f"There is {first}."), term


def test_affirmed_gives_the_words_in_order() -> None:
    names = re.compile("effusion|edema")
    text = "No effusion. There is edema and an Effusion."
    assert [match.group() for match in affirmed(text, names)] == ["edema", "effusion"]
