"""Checked drafts: a report that does not say what the language model was told is drawn again; the best draft is kept.

A small language model now and then leaves a finding out, or says another side than it was told. The network knows the
findings that it named to it, and the labeler reads what a draft says, so such a draft is noticed without any reference.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from ammrg.findings import ABNORMAL, FINDINGS
from ammrg.text.labeler import suspected_findings
from ammrg.text.places import finding_places
from ammrg.text.self_contradictions import self_contradictions

if TYPE_CHECKING:
    from ammrg.networks.language_model import LanguageModel

DRAWN = {"temperature": 0.7, "top_p": 0.9}
"""Drafts are drawn more carefully than from the model's own probabilities, which give an unlikely word now and then."""
AT_ONCE = 16
"""Drafts of a round of a smaller batch, since a few texts together take little longer than one."""
Found = Mapping[str, Sequence[str]]
"""Each abnormal finding that the network names for a study, with its sides and levels; none where it names no place."""


class Mistakes(NamedTuple):
    """What a text says otherwise than the network that writes it found; the less of two is the better text."""

    stated: int
    """Findings left out, or affirmed though they were not found; sides and levels left out or invented for a finding
    rightly affirmed; and findings both affirmed and denied."""
    suspected: int
    """Findings called possible though they were not found: less grave, so they only decide between equals."""


def mistakes(text: str, found: Found) -> Mistakes:
    """Count the mistakes of a text.

    Args:
        text: a report.
        found: what the network found.
    """
    said = {name: place for name, place in finding_places(text).items() if FINDINGS.index(name) in ABNORMAL}
    misplaced = [(said[name].side | said[name].level) ^ set(words) for name, words in found.items() if name in said]
    return Mistakes(
        len(said.keys() ^ found.keys()) + sum(map(len, misplaced)) + len(list(self_contradictions(text))),
        len(suspected_findings(text) - found.keys()),
    )


def redrawn(
    language_model: LanguageModel,
    texts: Sequence[str],
    found: Sequence[Found],
    study_ids: Sequence[str],
    visual: Sequence[Tensor],
    instructions: Sequence[str],
    drafts: int,
    decoding: Mapping[str, Any],
) -> list[str]:
    """Return, for each of b studies, the text or draft with the fewest mistakes; see :func:`checked`.

    Args:
        language_model: draws the drafts.
        texts: what it wrote first.
        found: what the network found in the studies.
        study_ids: of the studies.
        visual: the visual tokens of the studies, ``[m_i d]`` each.
        instructions: of the studies.
        drafts: most drafts of a study, >= 0.
        decoding: settings with which the texts were written; :data:`DRAWN` replaces some.
    """

    def write(rows: list[int], seeds: list[int]) -> list[str]:
        settings = {**decoding, "do_sample": True, "num_beams": 1, **DRAWN, "seeds": seeds}
        return language_model.generate([visual[row] for row in rows], [instructions[row] for row in rows], **settings)

    return checked(texts, found, study_ids, write, drafts)


def checked(
    texts: Sequence[str],
    found: Sequence[Found],
    study_ids: Sequence[str],
    write: Callable[[list[int], list[int]], Sequence[str]],
    drafts: int,
) -> list[str]:
    """Return, for each study, the text or draft with the fewest mistakes; the first of equals.

    Drafts are drawn in rounds for the studies that still have a mistake: two each, then four, eight and so on, as many
    as :data:`AT_ONCE` or the batch allows. The seed of a draft is that of its study and number, and of a study's drafts
    the first without a mistake is taken, so the rounds do not matter.

    Args:
        texts: b first texts.
        found: what the network found in the b studies.
        study_ids: of the b studies.
        write: draws one draft for each of some studies, given their rows and seeds.
        drafts: most drafts of a study, >= 0.
    """
    kept = [(mistakes(text, told), text) for text, told in zip(texts, found, strict=True)]
    drawn, each = 0, 2
    while drawn < drafts and (wrong := [row for row, (count, _) in enumerate(kept) if any(count)]):
        each = max(1, min(each, drafts - drawn, max(AT_ONCE, len(texts)) // len(wrong)))
        numbers = range(drawn, drawn + each)
        rows, seeds = [], []
        for row in wrong:
            rows += [row] * each
            seeds += [zlib.crc32(f"{study_ids[row]} {number}".encode()) for number in numbers]
        for row, text in zip(rows, write(rows, seeds), strict=True):
            kept[row] = min(kept[row], (mistakes(text, found[row]), text), key=lambda pair: pair[0])
        drawn, each = drawn + each, 2 * each
    return [text for _, text in kept]
