from __future__ import annotations

import pytest

from ammrg.errors import SettingsError
from ammrg.text.prompts import INSTRUCTION, findings_in_words, indication_in_words, instruction, template_fields


def test_fields_are_filled_in() -> None:
    template = "{findings} {indication} Write."
    assert template_fields(template) == {"findings", "indication"}
    assert instruction(template, ["edema"], "cough.") == "Findings: edema. Indication: cough. Write."
    assert instruction(template, [], " ") == "Findings: none. Indication: not known. Write."
    assert template_fields(INSTRUCTION) == set()
    assert instruction("{{as it is}}", [], "") == "{as it is}"


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
