from __future__ import annotations

import pytest

from ammrg.errors import SettingsError
from ammrg.text.places import Place, finding_places
from ammrg.text.prompts import (
    INSTRUCTION,
    findings_in_words,
    indication_in_words,
    instruction,
    place_in_words,
    placed_name,
    template_fields,
)


def test_fields_are_filled_in() -> None:
    template = "{findings} {indication} Write."
    assert template_fields(template) == {"findings", "indication"}
    present = {"Edema": Place(), "Lung Lesion": Place(frozenset({"right"}), frozenset({"upper"}))}
    assert instruction(template, present, "cough.") == "Findings: edema, lung lesion. Indication: cough. Write."
    assert instruction("{placed_findings}", present, "") == "Findings: edema, right upper lung lesion."
    assert instruction(template, {}, " ") == "Findings: none. Indication: not known. Write."
    assert instruction("{placed_findings}", {}, "") == "Findings: none."
    assert template_fields(INSTRUCTION) == set()
    assert instruction("{{as it is}}", {}, "") == "{as it is}"


@pytest.mark.parametrize(
    ("sides", "levels", "words"),
    [
        ("", "", ""),
        ("left", "", "left"),
        ("left right", "lower", "bilateral lower"),
        ("", "lower upper", "upper lower"),
        ("right", "mid", "right mid"),
    ],
)
def test_a_place_in_words_is_read_back(sides: str, levels: str, words: str) -> None:
    place = Place(frozenset(sides.split()), frozenset(levels.split()))
    assert place_in_words(place) == words
    sentence = f"There is {placed_name('Consolidation', place)} of the lung."
    assert finding_places(sentence)["Consolidation"].side == place.side


def test_words() -> None:
    assert findings_in_words(["pleural effusion", "cardiomegaly"], ["edema"]) == (
        "Findings: pleural effusion, cardiomegaly; uncertain: edema."
    )
    assert indication_in_words("chest pain. ") == "Indication: chest pain."


@pytest.mark.parametrize(
    ("template", "named"), [("{finding} Write.", "finding"), ("{} Write.", r"\{\}"), ("{", "brace")]
)
def test_a_template_with_other_fields_is_refused(template: str, named: str) -> None:
    with pytest.raises(SettingsError, match=rf"model\.instruction: .*{named}"):
        template_fields(template)
