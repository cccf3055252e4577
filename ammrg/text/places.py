"""Where a report puts its findings: the side and level of each mention, and of each finding.

The words of place are data, in :mod:`ammrg.text.place_words`. A clause is cut into pieces at commas, "and", "with" and
the like. A word of place belongs to the mentions in its piece, else to the mention before it ("opacity in the right
base and lingula"), else to the one after it ("on the left, an effusion is seen"). Two findings in a list share a place
that stands before the first ("left effusion and atelectasis") or after the last ("consolidation and effusion on the
left").
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from ammrg.findings import FINDINGS, NEGATIVE, POSITIVE
from ammrg.text import place_words
from ammrg.text.abnormal_spans import abnormal_spans
from ammrg.text.labeler import Mention, sentence_mentions, sentences
from ammrg.text.patterns import pattern

_SIDES = [(frozenset(names.split()), pattern(words)) for names, words in place_words.SIDE_NAMES.items()]
_LEVELS = [(frozenset((name,)), pattern(words)) for name, words in place_words.LEVEL_NAMES.items()]
_PAIRS, _NO_PLACE = pattern(place_words.PAIRS), pattern(place_words.NO_PLACE)
_CLAUSE_END, _SPARED = pattern(place_words.CLAUSE_ENDS), pattern(place_words.SPARED)
_WORD_JOINT = pattern(place_words.JOINTS).pattern
_JOINT = re.compile(rf" ?[,;:()/&][,;:()/& ]*(?:{_WORD_JOINT})?|{_WORD_JOINT}")
_PART_LAST = re.compile(rf"{pattern(place_words.PARTS).pattern} ?$")
_BESIDE, _PLAIN = pattern(place_words.BESIDE), pattern(place_words.PLAIN)
_FIRST_CUT = re.compile(rf"(?:{_CLAUSE_END.pattern}|{_WORD_JOINT}) ")
_NONE: frozenset[str] = frozenset()


class Place(NamedTuple):
    """Where a finding is; an empty set where the text does not say."""

    side: frozenset[str] = _NONE
    """Out of ``left`` and ``right``, the patient's."""
    level: frozenset[str] = _NONE
    """Out of ``upper``, ``mid`` and ``lower``."""

    def joined(self, other: Place) -> Place:
        """All sides and levels of both."""
        return Place(self.side | other.side, self.level | other.level)

    def completed(self, other: Place) -> Place:
        """This place, with the other's side if it has none, and the other's level if it has none."""
        return Place(self.side or other.side, self.level or other.level)


class _Word(NamedTuple):
    """One word of place."""

    start: int
    stop: int
    place: Place
    weak: bool = False
    """Whether it counts only if no other word names a side."""


class _Piece(NamedTuple):
    """A part of a clause between two joints."""

    joint: str
    """The mark or word before it."""
    start: int
    text: str
    mentions: list[Mention]
    words: list[_Word]

    @property
    def spared(self) -> bool:
        """Whether it denies a finding without naming one."""
        return not self.mentions and _SPARED.search(self.text) is not None

    @property
    def lead(self) -> str:
        """The text before its first mention."""
        return self.text[: _start(self.mentions[0]) - self.start]


def finding_places(text: str) -> dict[str, Place]:
    """The place of each finding that a report affirms: all sides and levels of its mentions.

    Findings are in the order of :data:`ammrg.findings.FINDINGS`; one without any word of place has empty sets. Mentions
    that are denied or uncertain do not count.
    """
    found: dict[str, Place] = {}
    for sentence in sentences(text):
        for mention, place in mention_places(sentence):
            if mention.label == POSITIVE and mention.finding in FINDINGS:
                found[mention.finding] = found.get(mention.finding, Place()).joined(place)
    return {name: found[name] for name in FINDINGS if name in found}


def affirming_sentences(text: str, finding: str) -> list[str]:
    """The sentences of a report that affirm a finding, in their order."""
    return [
        sentence
        for sentence in sentences(text)
        if any(each.finding == finding and each.label == POSITIVE for each in sentence_mentions(sentence))
    ]


@lru_cache(maxsize=1 << 15)
def place_spans(text: str) -> tuple[tuple[int, int], ...]:
    """The (start, stop), in characters, of each word of place in the sentences that affirm an abnormal finding."""
    lowered = text.lower()
    return tuple(
        (start + word.start, start + word.stop)
        for start, stop in abnormal_spans(text)
        for word in _words(lowered[start:stop])
    )


@lru_cache(maxsize=1 << 15)
def mention_places(sentence: str) -> tuple[tuple[Mention, Place], ...]:
    """The mentions of one sentence, each with its place; also those of abnormalities outside the 13 findings.

    Results are cached, because reports repeat each other's sentences.
    """
    mentions = sentence_mentions(sentence)
    if not mentions:
        return ()
    lowered = sentence.lower()
    words = list(_words(lowered))
    ends = [found.span() for found in _CLAUSE_END.finditer(lowered)]
    return tuple(
        (mention, own_place(mention.finding, place))
        for start, stop in _between(ends, 0, len(lowered))
        for mention, place in _in_clause(_pieces(lowered, start, stop, mentions, words))
    )


def _start(mention: Mention) -> int:
    """Where a mention starts, without a word of another piece before it: the labeler's phrase may be "and port"."""
    before = _FIRST_CUT.match(mention.phrase.lower())
    return mention.start + (before.end() if before else 0)


def _words(lowered: str) -> Iterable[_Word]:
    readable = _NO_PLACE.sub(lambda found: "~" * len(found.group()), lowered)
    for sides, regex in _SIDES:
        for found in regex.finditer(readable):
            yield _Word(*found.span(), Place(side=sides))
    for levels, regex in _LEVELS:
        for found in regex.finditer(readable):
            yield _Word(*found.span(), Place(level=levels))
    for found in _PAIRS.finditer(readable):
        yield _Word(*found.span(), Place(side=frozenset(place_words.SIDES)), weak=True)


def _between(cuts: Iterable[tuple[int, int]], start: int, stop: int) -> Iterable[tuple[int, int]]:
    for first, last in cuts:
        yield start, first
        start = last
    yield start, stop


def _pieces(lowered: str, start: int, stop: int, mentions: Iterable[Mention], words: Iterable[_Word]) -> list[_Piece]:
    """The pieces of the clause ``lowered[start:stop]``, with the mentions and words of place that start in them."""
    inside = [(_start(each), each.start + len(each.phrase)) for each in mentions]
    cuts = [
        found.span()
        for found in _JOINT.finditer(lowered, start, stop)
        if not any(first < found.end() and found.start() < last for first, last in inside)
    ]
    joints = ["", *(lowered[first:last] for first, last in cuts)]
    return [
        _Piece(
            joint,
            first,
            lowered[first:last],
            sorted((each for each in mentions if first <= _start(each) < last), key=_start),
            [each for each in words if first <= each.start < last],
        )
        for joint, (first, last) in zip(joints, _between(cuts, start, stop), strict=True)
    ]


def _in_clause(pieces: list[_Piece]) -> Iterable[tuple[Mention, Place]]:
    """The mentions of a clause with their places, before the rules for single findings."""
    named = [i for i, piece in enumerate(pieces) if piece.mentions]
    owned = {i: list(pieces[i].words) for i in named}
    for i, piece in enumerate(pieces):
        if named and piece.words and not piece.mentions and not piece.spared:
            owned[_owner(pieces, named, i)] += piece.words
    places = [_place(owned[i]) for i in named]
    for k in range(1, len(named)):  # a place before the list goes on to its later findings
        first, second = pieces[named[k - 1]], pieces[named[k]]
        if _shares(first, second, named[k] - named[k - 1], before=True):
            places[k] = places[k].completed(places[k - 1])
    for k in reversed(range(1, len(named))):  # and a place after the list goes back
        first, second = pieces[named[k - 1]], pieces[named[k]]
        if _shares(first, second, named[k] - named[k - 1], before=False):
            places[k - 1] = places[k - 1].completed(places[k])
    for i, place in zip(named, places, strict=True):
        for mention in pieces[i].mentions:
            yield mention, place


def _owner(pieces: list[_Piece], named: list[int], i: int) -> int:
    """The piece whose mentions own the words of piece ``i``, which has no mention."""
    earlier, later = [k for k in named if k < i], [k for k in named if k > i]
    if not earlier:
        return later[0]
    if i + 1 in later and {pieces[i].joint.strip(), pieces[i + 1].joint.strip()} == {"and"}:
        # "an effusion and left basilar and lingular opacities": two adjectives of the later noun
        piece, after = pieces[i], pieces[i + 1]
        rest = piece.text[max(word.stop for word in piece.words) - piece.start :].strip()
        has_own = any(word.start < _start(after.mentions[0]) for word in after.words)
        if not _PART_LAST.search(piece.text) and (rest or has_own):
            return i + 1
    return earlier[-1]


def _place(words: Iterable[_Word]) -> Place:
    found, weak = Place(), Place()
    for word in words:
        if word.weak:
            weak = weak.joined(word.place)
        else:
            found = found.joined(word.place)
    return found.completed(weak)


def _shares(first: _Piece, second: _Piece, distance: int, *, before: bool) -> bool:
    """Whether the second finding has the first one's place (``before``), or the first one the second's."""
    if first.mentions[-1].label == NEGATIVE or second.mentions[0].label == NEGATIVE:
        return False
    if _BESIDE.search(second.lead):
        return True
    lead = second.lead.strip()
    if distance > 1 or second.joint.strip(" ,") not in place_words.LISTS or (lead and not _PLAIN.fullmatch(lead)):
        return False
    if before:
        return any(word.start < _start(first.mentions[0]) for word in first.words)
    return any(word.start > _start(second.mentions[-1]) for word in second.words)


def own_place(finding: str, place: Place) -> Place:
    """What a place says of this finding: nothing if it lies in the midline, and no level that the finding implies."""
    if finding in place_words.MIDLINE:
        return Place()
    return place._replace(level=place.level - {place_words.IMPLIED.get(finding, "")})
