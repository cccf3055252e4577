"""Does a language model write what it is told? The ceiling of every report that it can write.

The model is told the findings of the reference report and their places in the words of its instruction, as a perfect
stage 1 would tell it, and sees no film. What its reports then leave out or invent is its own fault.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from rich.progress import track

from ammrg.errors import SettingsError
from ammrg.metrics.clinical import clinical_scores
from ammrg.metrics.location import location_scores
from ammrg.networks.checked_drafts import redrawn
from ammrg.networks.language_model import LanguageModel
from ammrg.text.labeler import label
from ammrg.text.places import finding_places
from ammrg.text.prompts import INSTRUCTION, NAMING_FIELDS, instruction, template_fields

TOLD = f"{{placed_findings}} {INSTRUCTION}"
"""The instruction that tells findings and places."""


def telling(template: str) -> str:
    """An instruction that tells findings: this one, if it names them, or else :data:`TOLD`."""
    return template if template_fields(template) & NAMING_FIELDS else TOLD


def told_scores(
    language_model: LanguageModel,
    reports: Sequence[str],
    template: str,
    max_new_tokens: int = 160,
    batch: int = 32,
    drafts: int = 0,
) -> dict[str, float | None]:
    """Score the reports that a language model writes when it is told the findings of the references.

    Args:
        language_model: greedy decoding is used.
        reports: the references; at least one.
        template: of the instruction, with ``{findings}`` or ``{placed_findings}``.
        max_new_tokens: most tokens of a report.
        batch: number of reports written at a time.
        drafts: most drafts of a report that does not say what the model was told, see
            :mod:`ammrg.networks.checked_drafts`.

    Returns:
        ``told_f1``, clinical micro F1 over the 13 abnormal findings; ``told_side_f1`` and ``told_level_f1``, see
        :mod:`ammrg.metrics.location`, None where no report names a place; all in [0, 1].

    Raises:
        SettingsError: the template names no findings.
    """
    if not template_fields(template) & NAMING_FIELDS:
        raise SettingsError(f"told: the instruction {template!r} names no findings; put {{findings}} into it")
    places = [finding_places(report) for report in reports]
    abnormal = [{name: place for name, place in each.items() if name != "No Finding"} for each in places]
    told = [instruction(template, each, "") for each in abnormal]
    found = [{name: (*sorted(place.side), *sorted(place.level)) for name, place in each.items()} for each in abnormal]
    ids = [str(number) for number in range(len(reports))]
    nothing = torch.zeros(0, language_model.width, device=language_model.device)
    texts: list[str] = []
    for start in track(range(0, len(told), batch), "told the findings", transient=True):
        part = slice(start, start + batch)
        prompts = ([nothing] * len(told[part]), told[part])
        written = language_model.generate(*prompts, max_new_tokens=max_new_tokens)
        length = {"max_new_tokens": max_new_tokens}
        texts += redrawn(language_model, written, found[part], ids[part], *prompts, drafts, length)
    clinical = clinical_scores([label(text) for text in reports], [label(text) for text in texts])
    where = location_scores(places, [finding_places(text) for text in texts], draws=0)
    return {
        "told_f1": clinical["clinical_micro_f1_13_neg"],
        "told_side_f1": where["location_side_f1"],
        "told_level_f1": where["location_level_f1"],
    }


def told_in_words(scores: Mapping[str, float | None]) -> str:
    """``told the findings of the reference, it writes them with micro F1 .978 ...``: one line for people."""
    named = {"told_f1": "micro F1 (13)", "told_side_f1": "side F1", "told_level_f1": "level F1"}
    found = {name: value for key, name in named.items() if (value := scores[key]) is not None}
    listed = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
    unknown = " and ".join(name for name in named.values() if name not in found)
    rest = f"; no {unknown}, because no reference names such a place" if unknown else ""
    return f"told the findings and places of the true report, it writes them with {listed}{rest}"
