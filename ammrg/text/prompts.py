"""The instruction given to the language model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import Formatter

from ammrg.errors import SettingsError
from ammrg.text.place_words import LEVELS, SIDES
from ammrg.text.places import Place

INSTRUCTION = "Generate a comprehensive and detailed diagnosis report for this chest xray image."
"""The instruction of Wang et al. 2026. It follows the visual tokens in the user's turn."""
FIELDS = ("findings", "placed_findings", "indication")
"""Fields that a template may name in braces: the findings above threshold, in words (after PromptMRG, Jin et al. 2024),
the same with their places, and the reason for the study."""


NAMING_FIELDS = {"findings", "placed_findings"}
"""Those of them that name findings."""


def template_fields(template: str) -> set[str]:
    """The fields that a prompt template names, such as ``{findings}``.

    Raises:
        SettingsError: if a field is not one of :data:`FIELDS`, or a brace has no partner.
    """
    try:
        named = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
    except ValueError as error:
        raise SettingsError(
            f"model.instruction: {template!r} is no template ({error}); double a brace to show it"
        ) from None
    unknown = sorted(named - set(FIELDS))
    if unknown:
        raise SettingsError(
            f"model.instruction: found the field {{{unknown[0]}}}, must be one of "
            f"{', '.join(f'{{{name}}}' for name in FIELDS)}"
        )
    return named


def instruction(template: str, present: Mapping[str, Place], indication: str) -> str:
    """The instruction for one study: the template with its fields filled in.

    Args:
        template: see :func:`template_fields`.
        present: the findings above threshold, with their places.
        indication: the reason for the study; empty if it is not known.
    """
    return template.format(
        findings=findings_in_words([name.lower() for name in present]),
        placed_findings=findings_in_words([placed_name(name, place) for name, place in present.items()]),
        indication=indication_in_words(indication),
    )


def placed_name(finding: str, place: Place) -> str:
    """``right upper pneumonia``: a finding's name in lower case, after the words of its place."""
    return f"{place_in_words(place)} {finding.lower()}".strip()


def place_in_words(place: Place) -> str:
    """``right upper``, ``bilateral``, ``mid lower``; empty where nothing is known."""
    sides = ["bilateral"] if place.side >= set(SIDES) else [word for word in SIDES if word in place.side]
    return " ".join([*sides, *(word for word in LEVELS if word in place.level)])


def findings_in_words(present: Sequence[str], uncertain: Sequence[str] = ()) -> str:
    """``Findings: pleural effusion, cardiomegaly; uncertain: edema.``, or ``Findings: none.``."""
    text = f"Findings: {', '.join(present) or 'none'}"
    return f"{text}; uncertain: {', '.join(uncertain)}." if uncertain else f"{text}."


def indication_in_words(indication: str) -> str:
    """``Indication: chest pain.``, or ``Indication: not known.`` if it is empty."""
    return f"Indication: {indication.strip().rstrip('.') or 'not known'}."
