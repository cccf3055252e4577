"""Words of place in chest X-ray reports, as data: sides, levels, and words that only look like them.

:mod:`ammrg.text.patterns` describes the form of the entries. :mod:`ammrg.text.places` decides which finding a word of
place belongs to. Right and left are the patient's.
"""

from __future__ import annotations

from ammrg.text.cues import CONTRASTS

SIDES: tuple[str, ...] = ("left", "right")
LEVELS: tuple[str, ...] = ("upper", "mid", "lower")
"""Thirds of the lungs, from apex to base."""

_ZONE = "(lobe|lung|zone|field|rib|third|hemithorax|thorax|chest)"
_TO_ZONE = r"(?=(,? (and|or|to|the|left|right|upper|mid|middle|lower|lung|pulmonary)|[/,>])*,? " + _ZONE + r"s?\b)"
"""What follows "upper" where it is a level: "upper and middle right lung"; not "upper limits"."""
_PARTS = (
    "(lungs|bases|apices|sides|hemithora*|lobes|zones|fields|(costo|cardio)phrenic*|upper|mid|middle|lower|perihilar)"
)

SIDE_NAMES: dict[str, tuple[str, ...]] = {
    "left": ("left", "lt", "l(?= ?[<>])", "(?<=[<>])l", "(?<=[<>] )l", "lul", "lll", "lingula*"),
    "right": ("right", "rt", "r(?= ?[<>])", "(?<=[<>])r", "(?<=[<>] )r", "rul", "rml", "rll", "(?<!left )middle lobe"),
    "left right": ("bilat*", "b/l", "bi ?bas*", "bi ?apical*", f"both( \\w+){{0,2}} {_PARTS}", "(either|each) side"),
}
"""Words that name a side, or both. The lingula is part of the left lung, the middle lobe of the right one."""

PAIRS: tuple[str, ...] = (
    "bases",
    "apices",
    "(upper|mid|middle|lower)( lung)? (lobes|lungs|zones|fields)",
    "(costo|cardio)phrenic (angles|sulci)",
)
"""Plurals of parts that each lung has. They mean both sides if no side is named beside them."""

LEVEL_NAMES: dict[str, tuple[str, ...]] = {
    "upper": (f"upper{_TO_ZONE}", "apex", "apices", "(bi ?)?apical*", "rul", "lul"),
    "mid": (f"(mid|middle){_TO_ZONE}", "mid(lung|zone)s?", "(peri|para) ?hilar", "lingula*", "rml"),
    "lower": (
        f"lower{_TO_ZONE}",
        "bases?",
        "(bi ?)?bas(al|ilar)*",
        "retro ?cardiac",
        "behind the heart",
        "(costo|cardio) ?phrenic",
        "cp (angle|sulcus)*",
        "rll",
        "lll",
    ),
}

PARTS: tuple[str, ...] = (
    f"{_ZONE}s?",
    "bases?",
    "apex",
    "apices",
    "lingula",
    "(angle|sulcus|hilum)",
    "(either|each) side",
)
"""Nouns of place. "Right base" can only follow its finding, while "right basal" may also begin the next one."""

NO_PLACE: tuple[str, ...] = (
    "(left|right) (lateral|anterior|posterior|oblique)?( |decubitus)*(view|film|radiograph|projection|decubitus)s?",
    "(left|right)( sided)? (ventric*|atri*|aort*|arch|heart failure)",
    "in the (left|right) heart(?! border)",
    "left (in (place|situ)|alone|there)",
    "(was|were|been) left (in|on|at)",
    "(shift*|deviat*|rotat*|displacement)( \\w+){0,5} (to|towards?) the (left|right)",
    "apical lordotic",
    "(cardiac|heart|ventricular) apex",
    "apex of the (heart|left ventricle)",
    "base of the (neck|skull|heart|tongue|glenoid)",
    "(below|beneath|under) the (left|right) (hemi)?diaphragm",
)
"""Wider phrases inside which a word is not the place of a finding."""

CLAUSE_ENDS: tuple[str, ...] = (*CONTRASTS, "yet")
"""Words that part two clauses: a word of place never belongs to a finding beyond them."""

LISTS: tuple[str, ...] = ("and", "or", "with", "&", "/")
"""Words and marks between two findings that may share a place: "left effusion and atelectasis"."""
JOINTS: tuple[str, ...] = (
    "and",
    "or",
    "(?<!consistent )(?<!compatible )(?<!keeping )with",
    "without",
    "plus",
    "as well as",
    "there (is|are)",
    "which",
)
"""Words that part a clause into pieces, each about one finding, like a comma does."""

BESIDE: tuple[str, ...] = (
    "associated|adjacent|accompanying|underlying|overlying|surrounding|superimposed|ipsilateral",
    "(compatible|consistent|in keeping) with",
    "represent*|reflect*|suggest*",
)
"""Words that put a finding where the one before it is: "left effusion with adjacent atelectasis"."""
PLAIN: tuple[str, ...] = ("pleural|pulmonary|lung|air ?space|rib",)
"""Words that may stand before the second of two findings with one place: "left pneumothorax and pleural effusion"."""

SPARED: tuple[str, ...] = ("no|none|not|without|clear|normal|unremarkable|sharp|spared|free|intact|preserved|sparing",)
"""Words which mean that a piece without a finding denies one: "effusion on the left, none on the right"."""

MIDLINE: tuple[str, ...] = ("Cardiomegaly",)
"""Findings without a side and level."""
IMPLIED: dict[str, str] = {"Pleural Effusion": "lower"}
"""The level that a finding implies. A report that names it says no more than one that does not."""
