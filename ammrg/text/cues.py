"""Cue words around a finding, as data: negation, uncertainty, and the words that end their scope.

:mod:`ammrg.text.patterns` describes the form of the entries. :mod:`ammrg.text.scope` decides how far each cue reaches.
"""

from __future__ import annotations

SEEN_NAMES = (
    "(seen|identified|noted|present|visuali[sz]ed|visible|evident|demonstrated|appreciated|detected|found|apparent"
    "|recogni[sz]ed|discern(ed|ible)|shown|observed|depicted|delineated|in evidence)"
)
"""Words that follow "is" or "are" where the film shows a finding: "an effusion is seen"."""
_NOT = "(not|no longer|never|cannot|can not|could not|isn't|aren't|wasn't|weren't|can't)"
_BE = "(is|are|was|were)"
_CHANGE = (
    "(change|changes(?! of)|increase|decrease|progression|improvement|worsening|enlargement|reduction|growth|regression"
    "|redistribution|migration)"
)
_RESOLUTION = "(resolution|clearing|clearance|disappearance)"
_DEGREE = (
    "(significant*|substantial*|appreciabl*|definite*|clear*|marked*|major|acute*|gross*|obvious*|convincing"
    "|appreciable|real|interval|further|complete*|full*|total*|apparent*|radiographic|evidence of)"
)

NEGATIONS: tuple[str, ...] = (
    "no",
    "not",
    "without",
    "negative for",
    "free (of|from)",
    "clear (of|from)",
    "absence of",
    "lack of",
    "neither",
    "nor",
    "rule out",
    "(not|never) (show|demonstrate|reveal|suggest|indicate)s?",
    "never",
    "nothing( that)?( to)? (suggest|indicate)s?",
    "none of",
    "neither \\w+ (shows?|demonstrates?|has)",
    f"{_RESOLUTION} of",
    "exclusion of",
    # "No longer seen is the effusion", "nor is an effusion": the verb is part of the negation.
    f"(nor|neither) {_BE}",
    f"(not|no longer) {SEEN_NAMES} {_BE}",
    f"(absent|gone) {_BE}",
)
"""Words before a finding that deny it."""

RESOLVED_NAMES: tuple[str, ...] = ("resolved", "cleared", "absent")
"""Adjectives that deny the finding after them, if they come first in the clause or after an article."""

REMOVALS: tuple[str, ...] = ("removal of", "discontinuation of", "explantation of")
REMOVED_NAMES: tuple[str, ...] = ("removed", "extracted")
"""Words before a device which mean that it is gone. Before a finding they mean nothing."""

UNRESOLVED: tuple[str, ...] = (
    f"(no|without|not|lack of|absence of|failed)( the| an?| any| yet)? ({_DEGREE} ){{0,3}}{_RESOLUTION} of",
    "(partial*|incomplete*|near( complete| total)?|nearly( complete)?|almost( complete)?|some|slight|mild|minimal"
    "|modest"
    f"|continued|ongoing|further|gradual|subtotal)( interval)? {_RESOLUTION} of",
    "(no|not|never|without|no interval)( yet)? removal of",
)
"""A resolution or removal that is denied or incomplete: the finding or device is still there."""

PSEUDO_NEGATIONS: tuple[str, ...] = (
    # "No change in the effusion": the effusion is there.
    f"(no|without|not|lack of|absence of)( an?| any)? ({_DEGREE} ){{0,3}}((?!or |and )\\w+ )?{_CHANGE}",
    f"not ({_DEGREE} )?(changed|increased|decreased|improved|worsened|progressed|enlarged in the interval)",
    "(no|not)( any| much| significantly)? (larger|smaller|worse|better|different|bigger)",
    *UNRESOLVED,
    "not only",
    "not (without|free (of|from)|clear (of|from)|negative for)",
    f"not (well |clearly )?(seen|visuali[sz]ed|evaluated|identified)(?! {_BE})",
    "(no|without)( any)? doubt",
    "(no|without)( relevant| available)? (prior|previous|earlier|comparison|old)s?"
    "( \\w+)? (films?|exam*|stud(y|ies)|radiographs?|images?|comparisons?)",
    "no( prior)? comparisons?",
    "not likely",
    # "Cannot exclude pneumonia": the doubt remains.
    "(not|cannot|can not|could not|does not|do not)( entirely| completely| fully)? (exclude|rule out)",
    "(unable|impossible|difficult|hard) to (exclude|rule out)",
)
"""Words that look like a negation of the words after them, but are not."""

POST_NEGATIONS: tuple[str, ...] = (
    f"({_BE} )?(neither|nor) {SEEN_NAMES}",
    f"({_BE} |has |have |had )?{_NOT} (be |been )?(definite* |clearly |convincingly |readily |otherwise )?{SEEN_NAMES}",
    f"{_BE} not(?= ?[.;,)]| ?$)",
    f"{_BE} not suspected",
    f"({_BE} )?not in( good)? (place|situ|position)",
    "(has|have|had) not (recurred|reaccumulated|returned|reappeared|developed)",
    f"({_BE} )?((now|all|both|each|also|again|currently|completely|entirely|totally|essentially) )*"
    "(absent|gone|negative(?! for))",
    "none",
    "nil",
    "no(?= ?[.;,)]| ?$)",
    f"((has|have|had|{_BE}) (been )?)?"
    "((now|since|also|again|all|both|completely|entirely|fully|totally|subsequently|already|essentially|in the interim"
    "|in the interval) )*(resolved|cleared|disappeared|excluded|ruled out|vanished|removed|resected|excised)",
)
"""Words after a finding that deny it."""

POST_REMOVALS: tuple[str, ...] = (
    "removal",
    f"((has|have|had|{_BE}) (been )?)?((now|since|also|subsequently) )?"
    "(removed|discontinued|taken out|explanted|extracted"
    "|(withdrawn|pulled)(?! (\\d|by|to|into|slightly|back|approximately|about)))",
)
"""Words after a device which mean that it is gone."""

NOT_WHOLLY: tuple[str, ...] = (
    "not",
    "never",
    "yet",
    "part(ial)?ly",
    "incompletely",
    "nearly",
    "almost",
    "mostly",
    "largely",
    "somewhat",
    "slightly",
    "minimally",
)
"""Words just before "resolved", "absent" and the like that reverse or weaken them: "nearly resolved"."""

ELSEWHERE: tuple[str, ...] = (
    "(on|in|at)( the| any)? (prior|previous|earlier|last|preceding|old)",
    "previously",
    "before",
)
"""Words just after "not seen" which show that another film is meant: "not seen on the prior film"."""

TURNS: tuple[str, ...] = (
    f"{_BE}(?! {SEEN_NAMES} to )",  # "no opacity is seen to suggest pneumonia"
    "has",
    "have",
    "shows?",
    "demonstrates?",
    "appears?",
    "remains?",
    # Circumstances: the findings named after these words are there.
    "((?<!the )following|after|since|despite|status post|s/p)",
    "post(?! ?(operative|procedur|surgical|traumatic|obstructive|infectious|inflammatory))",
    "(?<!consistent )(?<!compatible )(?<!associated )with",
    "in the setting of",
    "(and|with)( new| interval| subsequent)? (placement|insertion|development|appearance) of",
    "(adjacent|next) to",
    "(overlying|underlying|surrounding|beneath|near) (the|an?)",
)
"""Words between a negation and a finding that end the negation's scope."""

VERBS: tuple[str, ...] = (
    "is|are|was|were|has|have|had|isn't|aren't",
    "can|cannot|could|may|might|should|will|would",
    "(remain|persist|appear|show|demonstrate|measure|continue|represent|suggest|obscure|overlie|project|terminate)s?",
    "(persist|remain|appear)ed",
    "in( good| satisfactory| appropriate| standard| stable| unchanged)? (place|situ|position)",
)
"""Verbs that make a clause of its own, and words used in place of a verb ("in place")."""

SEEN: tuple[str, ...] = (f"{_BE}( also| now| clearly| currently)? {SEEN_NAMES}",)
"""A verb that a whole list may share: "no effusion, edema, or pneumothorax is seen"."""

AFFIRMED: tuple[str, ...] = (
    "unchanged|stable|unaltered|similar|persist*|residual|continued|again|still|only|known",
    "small*|tiny|trace|mild*|moderate*|minimal*|slight*|large*|severe*|marked*|minor",
    "old|healed|healing|remote|chronic|new",
    "increas*|decreas*|improv*|worsen*|enlarging|resolving|evolving",
)
"""Words that affirm the finding beside them after a comma, unless an "or" makes it a list."""

ADJECTIVES: tuple[str, ...] = (
    *AFFIRMED,
    "left|right|bilateral|focal|acute|definite|significant|lobar|pulmonary|pleural|apical|basal|basilar|upper|lower"
    "|displaced|suspicious|confluent|gross|overt|frank|discrete|diffuse|patchy|hilar|mediastinal|cardiac|superior"
    "|evident|obvious|sizable|appreciable|measurable",
)
"""Words before a comma or "and" that belong to the same finding: "no small, unchanged effusion"."""

UNCERTAINTIES: tuple[str, ...] = (
    "may",
    "might",
    "could",
    "can",
    "possib*",
    "probabl*",
    "improbable",
    "(un)?likely",
    "suspect*",
    "suspicious for",
    "suspicion",
    "(low|little) (likelihood|probability)",
    "disfavou?r*",
    "suggestion of",
    "question*",
    "query",
    "(?<!no )(?<!without )(?<!any )doubt*",
    "(cannot|can not|not|could not|unable to|difficult to|hard to|impossible to)( be)?( entirely| completely| fully)?"
    " (exclude*|rule out)",
    "concerning for",
    "concern for",
    "worrisome for",
    "versus",
    "vs",
    "equivocal",
    "potential*",
    "presum*",
    "differential",
    "perhaps",
)
"""Words before a finding that put it in doubt."""

_QUITE = "( also| very| quite| less| more| highly| somewhat| only)?"
_DOUBTFUL = (
    "(possible|suspected|questioned|likely|probable|questionable|unlikely|improbable|doubtful|doubted|equivocal"
    "|suggested|(dis)?favou?red|uncertain|indeterminate|in question|in doubt|in the differential)"
)
_SAID = "(?= ?[.,;:()?]| ?$| (in|on|at|given|with|and|based|as|by|because|from|since|after|here|too|today)\\b)"
"""Ends a doubt: a mark, the end, or one of these words. "Opacity is unlikely to be pneumonia" does not doubt the
opacity."""
POST_UNCERTAINTIES: tuple[str, ...] = (
    f"({_BE}|remains?|seems?)( not)?{_QUITE} {_DOUBTFUL}{_SAID}",
    f"((much |far )?less likely|unlikely|doubtful|improbable|questionable|equivocal){_SAID}",
    f"({_BE}|remains?)( also| still)? an? (\\w+ )?(possibility|consideration|concern|question)",
    f"({_BE} |has |have )?(cannot|can not|could not|not)( be| been)?( entirely| completely| fully)?"
    " (exclude*|ruled out)",
    f"({_BE}|remains?)( also)? (difficult|hard|impossible) to (exclude|rule out)",
    "(may|might|could)( also| still| well)? (be (present|there|developing)|have (resolved|cleared|developed)|exist)",
)
"""Words after a finding that put it in doubt."""

ALTERNATIVES: tuple[str, ...] = ("or", "and/or", "versus", "vs")
"""Words right beside a finding that is not denied which make it one of two possible readings."""

CONTRASTS: tuple[str, ...] = (
    "but",
    "however",
    "although",
    "though",
    "except",
    "aside from",
    "apart from",
    "other than",
    "whereas",
    "while",
)
"""Words that part two clauses."""

BREAKS: tuple[str, ...] = (
    *CONTRASTS,
    "yet the",
    "yet there",
    "with the exception of",
    "(?<!doubt )(?<!that )there (is|are)",
    "which(?![^,]*, ?(has|have|is|are|was|were)\\b)",  # in "effusion, which was large, has ..." "has" is the effusion's
)
"""Words that end the scope of the cues before them."""

VALUES_ABSENT: tuple[str, ...] = (
    f"no|none|nothing|neither|nil|not {SEEN_NAMES}|absent|negative|neg|without|never|zero|false",
    "normal|unremarkable|clear|denied|gone|resolved|cleared|removed|excluded|ruled out|disappeared|n(?! ?/)",
)
"""The first words of a form field's value where the finding is absent: "effusion: none"."""
