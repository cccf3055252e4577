"""A rule-based labeler of the 14 CheXpert findings: mention, negation, uncertainty.

It follows the CheXpert labeler (Irvin et al. 2019) and NegEx (Chapman et al. 2001): find the name of a finding, read
the words around it in its clause, and decide: present, absent or uncertain. The phrases are data, in
:mod:`ammrg.text.findings_phrases`.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from ammrg.findings import ABNORMAL, BLANK, FINDINGS, NEGATIVE, NO_FINDING, POSITIVE, UNCERTAIN, no_finding_label
from ammrg.text import cues
from ammrg.text import findings_phrases as phrases
from ammrg.text.blank import is_blank
from ammrg.text.fields import fields, value_label
from ammrg.text.lines import ENDING_LINE
from ammrg.text.patterns import pattern
from ammrg.text.scope import denied, doubted, unresolved

NAME = "rule-based (CheXpert-style)"
"""This labeler's name in tables."""
LONGEST = 2000
"""Most characters of a sentence; a longer one is cut. Each mention is read in its whole sentence, so the time for a
text without marks would grow with the square of its length. Sentences of reports have a few hundred characters. A cut
between a finding and its negation loses the negation."""


class Mention(NamedTuple):
    """One place in a report that names a finding."""

    finding: str
    label: float
    """1 present, 0 absent, -1 uncertain."""
    phrase: str
    """The words that name it."""
    sentence: str
    """The sentence that contains the phrase."""
    start: int
    """Where the phrase starts in the sentence, in characters."""


_SENTENCE_END = re.compile(
    # A punctuation mark, even without a space after it; decimals and initials are not cut.
    r"(?<=[.!?;])(?:\s+|(?<=\w[!;])(?=\w)|(?<=[^\W\d_]{2}[.?])(?=[A-Z])|(?<=[^\W\d_]{3}[.?])(?=[a-z]{3})"
    r"|(?<=\d\.)(?=[A-Za-z]{3}))"
    # A line that begins something new, or a numbered item within a line.
    rf"|{ENDING_LINE}|\s(?=\d{{1,2}}[.)] ?[A-Za-z]{{2}})"
)
_BREAK = pattern(cues.BREAKS)
_ALTERNATIVE = "|".join(map(re.escape, cues.ALTERNATIVES))
_ALTERNATIVE_BEFORE = re.compile(rf"(?:\b(?:{_ALTERNATIVE})|/)(?: \w+){{0,2}} ?$")
_ALTERNATIVE_AFTER = re.compile(rf"^ ?(?:(?:{_ALTERNATIVE})\b|/)")
_STATES = tuple(
    (label, pattern(entries))
    for label, entries in (
        (UNCERTAIN, phrases.STATES_UNCERTAIN),
        (NEGATIVE, phrases.STATES_NORMAL),
        (POSITIVE, phrases.STATES_ABNORMAL),
    )
)
_STABLE = pattern(phrases.STATES_UNCERTAIN)
_STRENGTH = {NEGATIVE: 0, UNCERTAIN: 1, POSITIVE: 2}
"""Of several mentions of a finding, the label with the greatest strength is the report's."""
_MISREADINGS = tuple((finding, pattern([entry])) for finding, entry in phrases.MISREADINGS)


class _Rule(NamedTuple):
    finding: str
    mentions: re.Pattern[str]
    structures: re.Pattern[str] | None
    hints: re.Pattern[str] | None
    exclusions: re.Pattern[str] | None


_RULES = tuple(
    _Rule(
        row.finding,
        pattern(row.mentions),
        pattern(row.structures) if row.structures else None,
        pattern(row.hints) if row.hints else None,
        pattern(row.exclusions) if row.exclusions else None,
    )
    for row in phrases.TABLE
)


def sentences(text: str) -> list[str]:
    """Split a report into sentences, each with single spaces.

    A decimal point does not end a sentence. A sentence longer than :data:`LONGEST` is cut between words.
    """
    return list(_sentences(text))


@lru_cache(maxsize=1 << 14)
def _sentences(text: str) -> tuple[str, ...]:
    """The sentences of a text. Results are cached, because labels, places and claims are read from the same texts."""
    found = []
    for raw in _SENTENCE_END.split(text):
        part = " ".join(raw.split())
        found += textwrap.wrap(part, LONGEST, break_on_hyphens=False) if len(part) > LONGEST else [part]
    return tuple(part for part in found if part)


def _clause(sentence: str, breaks: Sequence[tuple[int, int]], start: int, end: int) -> tuple[str, str]:
    """The text before and after a mention, within its clause. ``breaks``: spans of the words that end a clause."""
    first = max((stop for _, stop in breaks if stop <= start), default=0)
    last = min((begin for begin, _ in breaks if begin >= end), default=len(sentence))
    return sentence[first:start], sentence[end:last]


def _mention_label(before: str, after: str, device: bool) -> float:
    if denied(before, after, device=device):
        return NEGATIVE
    if doubted(before, after):
        return UNCERTAIN
    is_alternative = _ALTERNATIVE_BEFORE.search(before) or _ALTERNATIVE_AFTER.search(after)
    return UNCERTAIN if is_alternative and not unresolved(before) else POSITIVE


def _structure_label(before: str, after: str) -> float:
    """The label of an organ's state: from the adjective just before it, else from the first state after it.

    "Stable" only means "as before": it counts only if the text gives no size.
    """
    near = " ".join(before.rpartition(",")[2].split()[-4:])
    weak = BLANK
    if _STABLE.search(near):  # "stable mediastinum with a normal heart": "normal" describes the heart
        after = after.partition(" with ")[0]
    for side, nearest in ((near, max), (after, min)):
        found = [
            (match.start() if side is after else match.end(), len(match.group()), label)
            for label, regex in _STATES
            for match in regex.finditer(side)
        ]
        strong = [entry for entry in found if entry[2] != UNCERTAIN]
        if strong:
            return _longest(strong, nearest(entry[0] for entry in strong))
        if found:
            weak = UNCERTAIN
    return weak


def _longest(found: list[tuple[int, int, float]], place: int) -> float:
    """The label of the longest state at this place: "not enlarged" wins over "enlarged"."""
    return max((length, label) for at, length, label in found if at == place)[1]


class _Name(NamedTuple):
    """One place where a sentence names a finding, an organ or a sign."""

    rule: _Rule
    regex: re.Pattern[str]
    start: int
    stop: int


def _names(lowered: str) -> Iterator[_Name]:
    for rule in _RULES:
        taken = [found.span() for found in rule.exclusions.finditer(lowered)] if rule.exclusions else []
        for regex in (rule.mentions, rule.hints, rule.structures):
            if regex is None:
                continue
            for found in regex.finditer(lowered):
                start, stop = found.span()
                if not any(start < end and begin < stop for begin, end in taken):
                    taken.append((start, stop))
                    yield _Name(rule, regex, start, stop)


@lru_cache(maxsize=1 << 15)
def sentence_mentions(sentence: str) -> tuple[Mention, ...]:
    """Every mention in one sentence. Results are cached, because reports repeat each other's sentences."""
    return tuple(_mentions(sentence))


def _mentions(sentence: str) -> Iterator[Mention]:
    lowered = sentence.lower()
    names = list(_names(lowered))
    if not names:
        return
    forms = fields(lowered, [(name.start, name.stop) for name in names])
    breaks = [found.span() for found in _BREAK.finditer(lowered)]
    breaks += [(place, place) for form in forms for place in (form.start, form.value)]
    for name in names:
        rule, regex, start, stop = name
        device = rule.finding == "Support Devices"
        form = next((each for each in forms if each.start <= start < each.value), None)
        before, after = _clause(lowered, breaks, start, stop)
        if regex is rule.structures:
            value = _structure_label(before, lowered[form.value : form.stop] if form else after)
        elif form is None:
            value = _mention_label(before, after, device)
        elif any(other.rule is rule and form.value <= other.start < form.stop for other in names):
            continue  # "Effusion: no effusion.": the value's own mention counts
        else:
            value = value_label(lowered[form.value : form.stop], device=device)
        if regex is rule.hints and value == POSITIVE:
            value = UNCERTAIN
        if value == value:
            yield Mention(rule.finding, value, sentence[start:stop], sentence, start)


def mentions(text: str) -> list[Mention]:
    """Every mention of one of the 13 abnormal findings, or of an abnormality outside them, in the order of the text."""
    return [mention for sentence in sentences(text) for mention in sentence_mentions(sentence)]


def names_abnormality(mention: Mention) -> bool:
    """Whether a mention names the abnormality itself, not an organ with a state, nor a sign that only hints at it."""
    rule = next(rule for rule in _RULES if rule.finding == mention.finding)
    return rule.mentions.fullmatch(mention.phrase.lower()) is not None


def affirmed(text: str, names: re.Pattern[str]) -> Iterator[re.Match[str]]:
    """Matches of ``names`` that the text does not deny, by this labeler's negation rules. Uncertain ones count.

    Each sentence is searched in lower case.
    """
    for sentence in sentences(text):
        lowered = sentence.lower()
        breaks = [found.span() for found in _BREAK.finditer(lowered)]
        for found in names.finditer(lowered):
            if not denied(*_clause(lowered, breaks, *found.span())):
                yield found


def explain(text: str) -> list[Mention]:
    """Every mention of one of the 13 abnormal findings, sentence by sentence."""
    return [mention for mention in mentions(text) if mention.finding != phrases.OTHER]


def suspected_findings(text: str) -> set[str]:
    """The abnormal findings that a text calls possible and nowhere affirms.

    A sign that only hints at a finding suspects none: a "stable heart" leaves its size open.
    """
    found = explain(text)
    suspected = {mention.finding for mention in found if mention.label == UNCERTAIN and names_abnormality(mention)}
    return suspected - {mention.finding for mention in found if mention.label == POSITIVE}


def label(text: str, *, as_chexpert: bool = False) -> list[float]:
    """The 14 labels of a report.

    Args:
        text: a report or a section of one.
        as_chexpert: also count as present the wordings that the CheXpert labeler is known to misread
            (:data:`ammrg.text.findings_phrases.MISREADINGS`), to reproduce label files made by it. Scoring never does.

    Returns:
        14 values in the order of :data:`ammrg.findings.FINDINGS`: 1 present, 0 absent, -1 uncertain, NaN unmentioned.
        If a finding has several mentions, present wins over uncertain, and uncertain over absent. "No Finding" is 1 if
        no other finding except Support Devices is present or uncertain, and no abnormality outside the 14 either: as
        in CheXpert's labels, a "calcified granuloma" rules it out. A blank text (empty, "nan", "---") is all NaN.
    """
    if is_blank(text):
        return [BLANK] * len(FINDINGS)
    found = [(mention.finding, mention.label) for mention in mentions(text)]
    if as_chexpert:
        lowered = [sentence.lower() for sentence in sentences(text)]
        found += [(name, POSITIVE) for name, regex in _MISREADINGS if any(regex.search(each) for each in lowered)]
    return labels_of(found)


def labels_of(found: Iterable[tuple[str, float]]) -> list[float]:
    """The 14 labels of a report from its mentions, each a (finding, label); see :func:`label`."""
    strongest: dict[str, float] = {}
    for finding, value in found:
        if finding not in strongest or _STRENGTH[value] > _STRENGTH[strongest[finding]]:
            strongest[finding] = value
    labels = [BLANK] * len(FINDINGS)
    for i in ABNORMAL:
        labels[i] = strongest.get(FINDINGS[i], BLANK)
    if strongest.get(phrases.OTHER, NEGATIVE) == NEGATIVE:
        labels[NO_FINDING] = no_finding_label(labels)
    return labels
