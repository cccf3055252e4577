"""Warnings where a report contradicts itself: it says and denies a finding, or says two sizes of it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from ammrg.findings import ABNORMAL, FINDINGS, NEGATIVE, POSITIVE, UNCERTAIN
from ammrg.text.labeler import Mention, names_abnormality, sentences
from ammrg.text.places import Place, mention_places

_OF_MANY_KINDS = ("Lung Opacity", "Lung Lesion", "Fracture", "Pleural Other", "Support Devices")
"""Findings with several names that do not mean the same: scars go with "no infiltrate", a tube with "no pacemaker"."""
_LEAVES_SOME = re.compile(
    r"\b(?:new|other|additional|further|residual|recurrent|large|larger|sizable|sizeable|big|massive|major|marked|gross"
    r"|significant|frank|severe|overt|acute|displaced)\b(?: [\w-]+){0,2} ?$"
)
"""Words just before a denied finding that leave some of it: "no large effusion" goes with a small one."""


_SMALL, _MODERATE, _LARGE = "small", "moderate", "large"
_SIZES = {
    _SMALL: re.compile(r"\b(?:small|tiny|trace|minimal|mild|slight|minor)(?:ly)?\b"),
    _MODERATE: re.compile(r"\bmoderate(?:ly)?\b"),
    _LARGE: re.compile(r"\b(?:large|big|huge|massive|marked|severe|extensive|gross)(?:ly)?\b"),
}
_NEAR = re.compile(r"(?:(?!(?:and|with)\b)[\w/-]+ ){0,5}$")
"""Words just before a mention that are said of it alone."""
_Placed = tuple[Mention, Place]


def self_contradictions(report: str) -> Iterator[str]:
    """Name each abnormal finding that the report says or suspects and denies, or of which it says two sizes.

    The rule-based labeler reads the report. "No left effusion" denies neither a right one nor one whose side the report
    leaves open, and "no large effusion" denies no small one. Of findings that are of many kinds, only the same name
    contradicts itself. Two sizes contradict each other where both are said of the same place.

    Args:
        report: the generated text.
    """
    said = [each for sentence in sentences(report) for each in mention_places(sentence)]
    for name in (FINDINGS[i] for i in ABNORMAL):
        of_it = [each for each in said if each[0].finding == name]
        if (pair := next(_denied(of_it), None)) is not None:
            held = "affirms" if pair[0].label == POSITIVE else "suspects"
            yield f"WARNING: the report both {held} and denies {name}: {_quoted(*pair)}."
        if (pair := next(_sized_twice(of_it), None)) is not None:
            yield f"WARNING: the report says two sizes of {name}: {_quoted(*pair)}."


def _denied(of_it: Sequence[_Placed]) -> Iterator[tuple[Mention, Mention]]:
    """Mentions of a finding that another one denies, affirmed ones first, each with that other."""
    denying = [each for each in of_it if each[0].label == NEGATIVE and not _leaves_some(each[0])]
    for label in (POSITIVE, UNCERTAIN):
        for mention, place in of_it:
            # Uncertain is also what only hints at a finding: a "stable heart" suspects nothing.
            if mention.label == label and (label == POSITIVE or names_abnormality(mention)):
                yield from (
                    (mention, other)
                    for other, elsewhere in denying
                    if _covers(elsewhere, place) and _is_the_same(mention, other)
                )


def _sized_twice(of_it: Sequence[_Placed]) -> Iterator[tuple[Mention, Mention]]:
    """Pairs of affirmed mentions of a finding in the same place whose sizes have none in common."""
    sized = [(mention, place, _sizes(mention)) for mention, place in of_it if mention.label == POSITIVE]
    for (mention, place, sizes), (other, elsewhere, others) in itertools.combinations(sized, 2):
        if place == elsewhere and sizes and others and not sizes & others and _is_the_same(mention, other):
            yield mention, other


def _sizes(mention: Mention) -> frozenset[str]:
    """The sizes that stand just before a mention; both of "small to moderate"."""
    near = _NEAR.search(mention.sentence[: mention.start].lower())
    return frozenset(size for size, words in _SIZES.items() if near and words.search(near.group()))


def _is_the_same(mention: Mention, other: Mention) -> bool:
    return mention.finding not in _OF_MANY_KINDS or _name(mention) == _name(other)


def _covers(denied: Place, affirmed: Place) -> bool:
    """Whether a denial in one place holds for some of another; without a word of place it holds everywhere."""
    return all(not all_of or bool(all_of & some) for all_of, some in zip(denied, affirmed, strict=True))


def _leaves_some(denying: Mention) -> bool:
    return _LEAVES_SOME.search(denying.sentence[: denying.start].lower()) is not None


def _name(mention: Mention) -> str:
    """The words of a mention; one or several of it have the same name."""
    return re.sub(r"(?:ies|y|s)\b", "", mention.phrase.lower())


def _quoted(first: Mention, second: Mention) -> str:
    both = dict.fromkeys((first.sentence, second.sentence))
    return " and ".join(f'"{sentence.removesuffix(".")}"' for sentence in both)
