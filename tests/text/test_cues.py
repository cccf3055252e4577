"""Words around a finding, table by table: what denies it, puts it in doubt, or ends the reach of such words."""

from __future__ import annotations

import math

import pytest

from ammrg.findings import FINDINGS
from ammrg.text.labeler import label


def of(text: str, finding: str) -> float | None:
    """The label of one finding; None where blank."""
    value = label(text)[FINDINGS.index(finding)]
    return None if math.isnan(value) else value


@pytest.mark.parametrize(
    "text",
    [
        *("Absence of edema.", "Lack of edema.", "No effusion. Nor any edema.", "The films rule out edema."),
        *("There was never an edema.", "None of the edema is left.", "The film allows exclusion of edema."),
        *("Edema is not suspected.", "Edema nil.", "Edema no.", "Edema: clear.", "Edema: unremarkable."),
    ],
)
def test_what_denies_a_finding(text: str) -> None:
    assert of(text, "Edema") == 0


@pytest.mark.parametrize(
    "text",
    [
        *("Discontinuation of the pacemaker.", "Explantation of the pacemaker.", "Extracted pacemaker."),
        *("The pacemaker is not in place.", "Following pacemaker removal."),
    ],
)
def test_what_says_that_a_device_is_gone(text: str) -> None:
    assert of(text, "Support Devices") == 0


@pytest.mark.parametrize(
    "text",
    [
        *("Without doubt edema.", "Without prior films the edema is of unknown age.", "No comparison for the edema."),
        *("A not well seen edema.", "Edema was not seen previously.", "Edema was not seen before."),
    ],
)
def test_what_only_looks_like_a_denial(text: str) -> None:
    assert of(text, "Edema") == 1


@pytest.mark.parametrize(
    "word",
    [
        *("not", "never", "partly", "partially", "incompletely", "nearly", "almost", "mostly", "largely", "somewhat"),
        *("slightly", "minimally", "not as yet"),
    ],
)
def test_what_is_not_wholly_resolved_is_there(word: str) -> None:
    assert of(f"Edema {word} resolved.", "Edema") == 1


def test_what_is_not_removed_is_there() -> None:
    assert of("No removal of the pacemaker.", "Support Devices") == 1


@pytest.mark.parametrize(
    "word",
    [
        *("but", "however", "although", "though", "except", "aside from", "apart from", "other than", "whereas"),
        *("while", "yet the", "yet there persists", "which would explain the"),
    ],
)
def test_a_contrast_ends_a_denial(word: str) -> None:
    assert of(f"No effusion {word} edema.", "Edema") == 1
    assert of(f"No effusion {word} edema.", "Pleural Effusion") == 0


@pytest.mark.parametrize(
    "text",
    [
        "No tube is behind the consolidation.",
        "The patient without pain has consolidation.",
        "The lungs without pain have consolidation.",
        "The film without contrast shows consolidation.",
        "The film without contrast demonstrates consolidation.",
        "The side without tube appears to hold consolidation.",
        "Without treatment there remains consolidation.",
        "No complaints post consolidation.",
        "No tube overlying the consolidation.",
        "No pneumothorax and consolidation remains.",
        "No pneumothorax and consolidation remained.",
        "No pneumothorax, increasing consolidation.",
        "No pneumothorax, consolidation and edema are stable.",
        "Possible pneumothorax and there is consolidation.",
    ],
)
def test_what_a_denial_or_doubt_does_not_reach(text: str) -> None:
    assert of(text, "Consolidation") == 1


@pytest.mark.parametrize("first", ["focal", "unchanged", "small", "new", "increasing"])
def test_two_adjectives_of_one_finding_do_not_end_a_denial(first: str) -> None:
    assert of(f"No {first}, large consolidation.", "Consolidation") == 0


@pytest.mark.parametrize(
    "text",
    [
        *("This may be pneumonia.", "This might be pneumonia.", "This could be pneumonia.", "This can be pneumonia."),
        *("Possible pneumonia.", "Probable pneumonia.", "Improbable pneumonia.", "Unlikely pneumonia."),
        *("Suspected pneumonia.", "Suspicious for pneumonia.", "Suspicion of pneumonia.", "We disfavor pneumonia."),
        *("Little likelihood of pneumonia.", "Suggestion of pneumonia.", "Questionable pneumonia.", "Query pneumonia."),
        *("I doubt pneumonia.", "Unable to exclude pneumonia.", "Difficult to rule out pneumonia."),
        *("Concerning for pneumonia.", "Concern for pneumonia.", "Worrisome for pneumonia.", "Equivocal pneumonia."),
        *("Edema versus a small early right pneumonia.", "Edema vs a small early right pneumonia."),
        *("Potential pneumonia.", "Presumed pneumonia.", "The differential includes pneumonia.", "Perhaps pneumonia."),
        *("Not likely pneumonia.", "Pneumonia and/or edema.", "Pneumonia vs edema."),
    ],
)
def test_what_puts_a_finding_in_doubt(text: str) -> None:
    assert of(text, "Pneumonia") == -1
