"""Warnings where a report contradicts itself: it both affirms and denies a finding."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ammrg.findings import ABNORMAL, FINDINGS, NEGATIVE, POSITIVE
from ammrg.text.labeler import Mention, sentences
from ammrg.text.places import Place, mention_places

_OF_MANY_KINDS = ("Lung Opacity", "Lung Lesion", "Fracture", "Pleural Other", "Support Devices")
"""Findings with several names that do not mean the same: scars go with "no infiltrate", a tube with "no pacemaker"."""
_LEAVES_SOME = re.compile(
    r"\b(?:new|other|additional|further|residual|recurrent|large|larger|sizable|sizeable|big|massive|major|marked|gross"
    r"|significant|frank|severe|overt|acute|displaced)\b(?: [\w-]+){0,2} ?$"
)
"""Words just before a denied finding that leave some of it: "no large effusion" goes with a small one."""


def self_contradictions(report: str) -> Iterator[str]:
    """Name each abnormal finding that the report both affirms and denies, with the words that do so, in a sentence.

    The rule-based labeler reads the report. "No left effusion" denies neither a right one nor one whose side the report
    leaves open, and "no large effusion" denies no small one. Of findings that are of many kinds, only the same name
    contradicts itself. What is called uncertain contradicts nothing.

    Args:
        report: the generated text.
    """
    said = [each for sentence in sentences(report) for each in mention_places(sentence)]
    for name in (FINDINGS[i] for i in ABNORMAL):
        of_it = [(mention, place) for mention, place in said if mention.finding == name]
        pair = next(
            (
                (mention, other)
                for mention, place in of_it
                for other, elsewhere in of_it
                if mention.label == POSITIVE and other.label == NEGATIVE and not _leaves_some(other)
                if _covers(elsewhere, place) and (name not in _OF_MANY_KINDS or _name(mention) == _name(other))
            ),
            None,
        )
        if pair is not None:
            yield f"WARNING: the report both affirms and denies {name}: {_quoted(*pair)}."


def _covers(denied: Place, affirmed: Place) -> bool:
    """Whether a denial in one place holds for some of another; without a word of place it holds everywhere."""
    return all(not all_of or bool(all_of & some) for all_of, some in zip(denied, affirmed, strict=True))


def _leaves_some(denying: Mention) -> bool:
    return _LEAVES_SOME.search(denying.sentence[: denying.start].lower()) is not None


def _name(mention: Mention) -> str:
    """The words of a mention; one or several of it have the same name."""
    return re.sub(r"(?:ies|y|s)\b", "", mention.phrase.lower())


def _quoted(affirming: Mention, denying: Mention) -> str:
    both = dict.fromkeys((affirming.sentence, denying.sentence))
    return " and ".join(f'"{sentence.removesuffix(".")}"' for sentence in both)
