"""The phrases of a study's two reports that name findings, and whether the other report agrees with each."""

from __future__ import annotations

from typing import Any, NamedTuple

from ammrg.findings import FINDINGS
from ammrg.text import labeler
from ammrg.text.places import Place, finding_places, mention_places

STATES = {1.0: "present", 0.0: "absent", -1.0: "uncertain"}


class _Read(NamedTuple):
    """A text with its mentions and labels, by the rule-based labeler."""

    text: str
    mentions: list[labeler.Mention]
    labels: dict[str, float]
    places: dict[str, Place]
    """The place of each finding that it affirms."""


def _read(text: str) -> _Read:
    found = labeler.explain(text)
    labels = labeler.labels_of((mention.finding, mention.label) for mention in found)
    return _Read(text, found, dict(zip(FINDINGS, labels, strict=True)), finding_places(text))


def marked_pair(first: str, second: str) -> tuple[list[list[Any]], list[list[Any]]]:
    """The sentences of a study's two reports, with the phrases that name findings and whether the other report agrees.

    Returns:
        For each text, ``[sentence, [[start, end, kind, finding, words], ...]]`` for each sentence. kind is ``same`` if
        both texts have the same label for the finding; ``astray`` if both affirm it and this phrase names a side that
        the other text, which names one, does not; ``alone`` if this text denies a finding that the other does not
        mention; else ``contrary``.
    """
    sides = _read(first), _read(second)
    return _marked(sides[0], sides[1]), _marked(sides[1], sides[0])


def _marked(read: _Read, other: _Read) -> list[list[Any]]:
    marks: dict[str, list[list[Any]]] = {}
    for mention in read.mentions:
        theirs = other.labels[mention.finding]
        kind, named = "contrary", STATES.get(theirs, "unmentioned")
        if read.labels[mention.finding] == theirs:
            kind = "same"
            if wrong_side := _wrong_side(mention, other):
                kind, named = "astray", f"{named} on the {wrong_side}"
        elif theirs not in STATES and mention.label == 0.0:
            kind = "alone"
        words = f"{STATES[mention.label]}; other report: {named}"
        end = mention.start + len(mention.phrase)
        mark = [mention.start, end, kind, FINDINGS.index(mention.finding), words]
        if mark not in marks.setdefault(mention.sentence, []):
            marks[mention.sentence].append(mark)
    return [[sentence, marks.get(sentence, [])] for sentence in labeler.sentences(read.text)]


def _wrong_side(mention: labeler.Mention, other: _Read) -> str:
    """The other text's side of an affirmed finding, if the mention names a side which that text lacks; else empty."""
    theirs = other.places.get(mention.finding, Place()).side
    ours = dict(mention_places(mention.sentence))[mention].side
    is_wrong = mention.label == 1.0 and theirs and not ours <= theirs
    return " and ".join(sorted(theirs)) if is_wrong else ""
