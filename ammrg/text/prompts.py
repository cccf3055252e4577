"""The instruction given to the language model."""

from __future__ import annotations

from collections.abc import Sequence
from string import Formatter

from ammrg.errors import SettingsError

INSTRUCTION = "Generate a comprehensive and detailed diagnosis report for this chest xray image."
"""The instruction of Wang et al. 2026. It follows the visual tokens in the user's turn."""
FIELDS = ("findings", "indication")
"""Fields that a template may name in braces: the findings above threshold, in words (after PromptMRG, Jin et al. 2024),
and the reason for the study."""


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


def instruction(template: str, present: Sequence[str], indication: str) -> str:
    """The instruction for one study: the template with its fields filled in.

    Args:
        template: see :func:`template_fields`.
        present: names of the findings above threshold.
        indication: the reason for the study; empty if it is not known.
    """
    return template.format(findings=findings_in_words(present), indication=indication_in_words(indication))


def findings_in_words(present: Sequence[str], uncertain: Sequence[str] = ()) -> str:
    """``Findings: pleural effusion, cardiomegaly; uncertain: edema.``, or ``Findings: none.``."""
    text = f"Findings: {', '.join(present) or 'none'}"
    return f"{text}; uncertain: {', '.join(uncertain)}." if uncertain else f"{text}."


def indication_in_words(indication: str) -> str:
    """``Indication: chest pain.``, or ``Indication: not known.`` if it is empty."""
    return f"Indication: {indication.strip().rstrip('.') or 'not known'}."
