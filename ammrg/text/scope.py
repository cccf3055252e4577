"""The scope of negation and uncertainty: clauses, lists and their shared verbs.

The rules follow NegEx (Chapman et al. 2001) and add three. A comma, a colon or "and" ends a negation if a clause of its
own follows (with its own verb, or a word such as "unchanged" or "small"), but not inside a list ("no consolidation,
effusion, or pneumothorax is seen"). A verb after a list denies the whole list ("edema, effusion, or pneumothorax is not
seen"). Resolution denies a finding, and can itself be denied ("no resolution of the effusion").

All texts are in lower case: the words before and after a finding, up to the words that end its clause.
"""

from __future__ import annotations

import re

from ammrg.text import cues
from ammrg.text.patterns import pattern

LIST_REACH, REACH = 14, 8
"""Most words between a finding and a later verb that may still deny it: in a list, and elsewhere."""

_NEGATION, _PSEUDO_NEGATION = pattern(cues.NEGATIONS), pattern(cues.PSEUDO_NEGATIONS)
_UNRESOLVED = pattern(cues.UNRESOLVED)
_AS_ADJECTIVE = r"(?:^ ?|[,;:(/-] ?|\b(?:the|an?|now|and|interval|previously|completely|fully|of) )"
_RESOLVED = re.compile(_AS_ADJECTIVE + pattern(cues.RESOLVED_NAMES).pattern)
_REMOVED = re.compile(_AS_ADJECTIVE + pattern(cues.REMOVED_NAMES).pattern)
_REMOVAL, _POST_REMOVAL = pattern(cues.REMOVALS), pattern(cues.POST_REMOVALS)
_POST_NEGATION = pattern(cues.POST_NEGATIONS)
_SIGN = re.compile(r"^(?: \w+)? ?(?:[(\[] ?[-–—−] ?[)\]]|-ve\b)")
"""A minus sign in brackets: "effusion (-)"."""
_EITHER_SIGN = re.compile(r"^(?: \w+)? ?(?:\( ?(?:\+ ?/ ?-|±|\?) ?\)|±)")
_NOT_WHOLLY = re.compile(rf"{pattern(cues.NOT_WHOLLY).pattern}(?: \w+)? ?$")
_ELSEWHERE = re.compile(f" ?{pattern(cues.ELSEWHERE).pattern}")
_TURN = re.compile(rf"{pattern(cues.TURNS).pattern}|\([^)]*$| [-–—] ")
_VERB, _SEEN = pattern(cues.VERBS), pattern(cues.SEEN)
_AFFIRMED = pattern(cues.AFFIRMED)
_ADJECTIVE_LAST = re.compile(rf"(?:^|(?<!\b(?:at|in|on) the ){pattern(cues.ADJECTIVES).pattern}) ?$")
"""An adjective of a finding that follows: not "on the left", which ends what the negation says."""
_UNCERTAINTY, _POST_UNCERTAINTY = pattern(cues.UNCERTAINTIES), pattern(cues.POST_UNCERTAINTIES)
_OR = re.compile(r"\b(?:or|nor)\b|(?<=\w)/(?=\w)")
_AND = re.compile(r"\band\b|&")
_BOUNDARY = re.compile(r",? and(?:/or)?\b| & |[,:] ?")
_TRAIL_END = re.compile(rf"{_BOUNDARY.pattern}| ?\(")
_PLURAL = re.compile(r"are\b|were\b|have\b|(?!is\b|was\b|has\b)")
"""How a verb with several subjects begins: with a plural, or with no auxiliary at all ("not seen")."""
_PLURAL_VERB = re.compile(r"[^,(]*? and [^,(]*?\b(are|were|have|remain|persist|appear)\b")
_HEDGE = re.compile(
    r"\b(?:(?:is|are|was|were|has been|have been) (?:felt|thought|believed|considered|judged|deemed|presumed|said)"
    r"|(?:appears?|seems?))(?: to)?(?: be| have)?(?: been)?\b"
)
"""Reported opinion, such as "is felt to be": part of the verb that follows."""
_RELATIVE = re.compile(r"\b(?:that|which) (?:is|are|was|were|had been|has been|have been)\b")
_ASIDE = re.compile(
    r"(?: ?(?:now|since|currently|today|again|also|previously|interval|completely|fully|is|was|has|have))*"
)
"""Words after a comma that continue the statement about the finding before it."""
_SEEN_FIRST = re.compile(rf"\b{cues.SEEN_NAMES}\b(?!.*\b(?:prior|previous|previously|earlier|before)\b)")
"""A finding is seen, and not on an earlier film: then "not seen on the lateral view" does not deny it."""
_PART_BEFORE = re.compile(
    r"\b(?:tips?|ends?|margins?|borders?|cause|source|portion|course|position|extent|side ?port)"
    r" of(?: the| this| an?)?(?: \w+){0,3} ?$"
)
_PART_AFTER = re.compile(r"^ (?:tips?|ends?|margins?|borders?|side ?port)\b")
"""Names of a part ("the tip of the catheter"): a statement about the part does not deny the whole."""


def denied(before: str, after: str, *, device: bool = False) -> bool:
    """Whether the words before and after a name deny it. ``device``: words that mean removal deny it too."""
    return _denied_before(before, after, device) or _denied_after(before, after, device)


def doubted(before: str, after: str) -> bool:
    """Whether the words before and after a name put it in doubt."""
    if before.endswith("?") or after.rstrip().endswith("?") or _EITHER_SIGN.search(after):
        return True
    if any(_goes_on(before[cue.end() :], after) for cue in _UNCERTAINTY.finditer(before)):
        return True
    return any(_shared(after[: cue.start()], cue.group()) for cue in _POST_UNCERTAINTY.finditer(after))


def unchanged(before: str) -> bool:
    """Whether the words before a finding deny only its change, its resolution or a doubt."""
    return _PSEUDO_NEGATION.search(before) is not None


def unresolved(before: str) -> bool:
    """Whether the words before a finding deny its resolution, or call it incomplete."""
    return _UNRESOLVED.search(before) is not None


def _denied_before(before: str, after: str, device: bool) -> bool:
    regexes = (_NEGATION, _RESOLVED, _REMOVAL, _REMOVED) if device else (_NEGATION, _RESOLVED)
    if not any(regex.search(before) for regex in regexes):
        return False
    blanked = _PSEUDO_NEGATION.sub(lambda found: "~" * len(found.group()), before)
    ends = [found.end() for regex in regexes for found in regex.finditer(blanked)]
    if not ends:
        return False
    between = blanked[max(ends) :]
    return not _TURN.search(between) and _goes_on(between, after)


def _goes_on(between: str, after: str) -> bool:
    """Whether a cue's scope reaches a finding across the commas and "and" between them."""
    boundaries = [
        found for found in _BOUNDARY.finditer(between) if not _ADJECTIVE_LAST.search(between[: found.start()])
    ]
    if not boundaries:
        return True
    last = boundaries[-1]
    lead = between[last.end() :]
    end = _TRAIL_END.search(after)
    trail = after[: end.start()] if end else after
    verb = _VERB.search(trail)
    if (
        verb is None and end and _AND.match(end.group().strip())
    ):  # two subjects of one verb: "tube and line are unchanged"
        both = _PLURAL_VERB.match(after)
        trail, verb = (after, _VERB.match(after, both.start(1))) if both else (trail, None)
    is_listed = _OR.search(lead) or _OR.search(after[: verb.start()] if verb else after)
    if verb:
        is_joined = _AND.search(last.group()) or _AND.search(trail[: verb.start()])
        is_shared = bool(is_listed) or (bool(is_joined) and not _AFFIRMED.search(lead))
        return is_shared and _SEEN.match(trail, verb.start()) is not None
    return bool(is_listed) or not _AFFIRMED.search(f"{lead} ~ {trail}")


def _denied_after(before: str, after: str, device: bool) -> bool:
    if _SIGN.search(after):
        return True
    if _PART_AFTER.search(after) or _PART_BEFORE.search(before):
        return False
    for regex in (_POST_NEGATION, _POST_REMOVAL) if device else (_POST_NEGATION,):
        for cue in regex.finditer(after):
            gap = after[: cue.start()]
            if _NOT_WHOLLY.search(gap) or _ELSEWHERE.match(after, cue.end()):
                continue
            if _shared(gap, cue.group()):
                return True
    return False


def _shared(gap: str, cue: str) -> bool:
    """Whether a verb (``cue``) applies to the finding before it, with the words ``gap`` between them."""
    gap = _HEDGE.sub("", _RELATIVE.sub("", gap))
    words = len(gap.split())
    if _VERB.search(gap) or words > LIST_REACH:
        return False
    if _OR.search(gap):
        return True
    if _AND.search(gap):
        return _PLURAL.match(cue) is not None
    if "," in gap:
        aside = gap.rpartition(",")[2].strip()
        if _ASIDE.fullmatch(aside):
            return gap.count(",") > 1 or _SEEN_FIRST.search(gap) is None
        return cue.startswith(("are ", "were ", "have "))
    return words <= REACH
