"""Says where a sign is: words of place, chosen without a look at the words that name the finding.

All words can be read back by :mod:`ammrg.text.places`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ammrg.text.place_words import IMPLIED
from datamodules.sources.phantom.choice import choose
from datamodules.sources.phantom.signs import Sign

SIDE_SAID, LEVEL_SAID = 0.95, 0.85
"""Probability that a report names the side of a sign, and its level. A sign on both sides is always said to be so."""
_BEFORE, _BEHIND = 0.55, 0.30
"""Share of the places that are named before the finding and behind it; the others open the sentence."""
_APART = 0.3
"""Probability that side and level are named at two places of the sentence: "a left nodule in the upper zone"."""
_UNEVEN = 0.25
"""Least difference in size between two sides that may be spoken of."""
_UNEVEN_SAID = 0.6

Phrases = Mapping[str, tuple[str, ...]]
"""Level, or "" for none -> phrases, the most frequent first. ``{side}`` is the side, or nothing if it is not said."""


class _Region(NamedTuple):
    """The words for the places of one part of the body."""

    adjectives: Phrases
    """For one side."""
    adverbs: Phrases
    both_adjectives: Phrases
    """For both sides."""
    both_adverbs: Phrases


_SIDE_ADJECTIVES = ("{side}", "{side}-sided")
_SIDE_ADVERBS = ("on the {side}", "on the {side} side")
_BOTH_ADJECTIVES = ("bilateral",)
_BOTH_ADVERBS = ("bilaterally", "on both sides")

_ONE_SIDED = _Region({"": _SIDE_ADJECTIVES}, {"": _SIDE_ADVERBS}, {}, {})
_LUNG = _Region(
    adjectives={
        "": (*_SIDE_ADJECTIVES, "{side} lung"),
        "upper": ("{side} upper lobe", "{side} apical", "{side} upper lung", "{side} upper zone"),
        "mid": ("{middle_lobar}", "{side} mid lung", "{side} perihilar", "{side} mid zone"),
        "lower": ("{side} lower lobe", "{side} basilar", "{side} lower lung", "{side} basal", "{beside_heart}"),
    },
    adverbs={
        "": (*_SIDE_ADVERBS, "in the {side} lung"),
        "upper": ("in the {side} upper lobe", "in the {side} upper zone", "at the {side} apex"),
        "mid": ("in the {middle_lobe}", "in the {side} mid zone", "in the {side} perihilar region"),
        "lower": (
            "at the {side} base",
            "in the {side} lower lobe",
            "in the {side} lower zone",
            "in the {beside_heart} region",
        ),
    },
    both_adjectives={
        "": _BOTH_ADJECTIVES,
        "upper": ("biapical", "bilateral upper lobe", "bilateral upper zone"),
        "mid": ("bilateral perihilar", "bilateral mid lung", "bilateral mid zone"),
        "lower": ("bibasilar", "bilateral lower lobe", "bilateral basal"),
    },
    both_adverbs={
        "": (*_BOTH_ADVERBS, "in both lungs"),
        "upper": ("in both upper lobes", "at both apices", "in both upper zones"),
        "mid": ("in both mid zones", "in both perihilar regions", "in both mid lungs"),
        "lower": ("at both bases", "in both lower lobes", "in both lower zones"),
    },
)
_PLEURA = _Region(
    adjectives={
        "": _SIDE_ADJECTIVES,
        "upper": ("{side} apical", "{side} upper zone"),
        "mid": ("{side} mid zone", "{side} mid lung"),
        "lower": ("{side} basal", "{side} basilar"),
    },
    adverbs={
        "": (*_SIDE_ADVERBS, "in the {side} hemithorax"),
        "upper": ("at the {side} apex", "in the {side} upper zone", "in the {side} upper hemithorax"),
        "mid": ("in the {side} mid zone", "in the {side} mid hemithorax"),
        "lower": ("at the {side} base", "in the {side} costophrenic angle", "in the {side} lower hemithorax"),
    },
    both_adjectives={},
    both_adverbs={},
)
_FLUID = _Region(
    adjectives={"": _SIDE_ADJECTIVES},
    adverbs={"": (*_SIDE_ADVERBS, "at the {side} base", "in the {side} costophrenic angle")},
    both_adjectives={"": _BOTH_ADJECTIVES},
    both_adverbs={"": (*_BOTH_ADVERBS, "at both bases", "in both costophrenic angles")},
)
_RIBS = _Region(
    adjectives={
        "": _SIDE_ADJECTIVES,
        "upper": ("{side} upper",),
        "mid": ("{side} mid",),
        "lower": ("{side} lower",),
    },
    adverbs={
        "": (*_SIDE_ADVERBS, "in the {side} hemithorax"),
        "upper": ("in the {side} upper chest", "in the {side} upper hemithorax"),
        "mid": ("in the {side} mid chest", "in the {side} mid hemithorax"),
        "lower": ("in the {side} lower chest", "in the {side} lower hemithorax"),
    },
    both_adjectives={},
    both_adverbs={},
)
_REGIONS = {
    "Lung Opacity": _LUNG,
    "Lung Lesion": _LUNG,
    "Edema": _LUNG,
    "Consolidation": _LUNG,
    "Pneumonia": _LUNG,
    "Atelectasis": _LUNG,
    "Pneumothorax": _PLEURA,
    "Pleural Other": _PLEURA,
    "Pleural Effusion": _FLUID,
    "Fracture": _RIBS,
}
"""All other findings are on one side, without a level."""

_BY_SIDE = {
    "left": {"middle_lobar": "lingular", "middle_lobe": "lingula", "beside_heart": "left retrocardiac"},
    "right": {
        "middle_lobar": "right middle lobe",
        "middle_lobe": "right middle lobe",
        "beside_heart": "right cardiophrenic",
    },
    "": {"middle_lobar": "mid zone", "middle_lobe": "mid zone", "beside_heart": "basal"},
}
"""Words that name a level of one side only, and those for a side that is not said."""


class PlacePhrase(NamedTuple):
    """The words of place of one sentence; those that are not used are empty."""

    opening: str = ""
    """At the beginning of the sentence: "In the lingula"."""
    where: str = ""
    """Before the name of the finding, with a space at its end: "left basilar "."""
    at: str = ""
    """Behind it, with a space before it: " at the left base"."""


def say_place(sign: Sign, has_where: bool, rng: np.random.Generator) -> PlacePhrase:
    """Choose what is said of a sign's place, and how.

    Args:
        sign: a sign of version 2 that is not on the midline.
        has_where: whether the sentence has room for words before the name of the finding.
        rng: source of all choices.
    """
    region = _REGIONS.get(sign.finding, _ONE_SIDED)
    both = len(sign.sides) > 1
    says_side, says_level, apart, place, uneven = rng.random(5)
    side = sign.side if both or says_side < SIDE_SAID else ""
    level = sign.zone if says_level < LEVEL_SAID and sign.zone != IMPLIED.get(sign.finding) else ""
    adjectives, adverbs = region[2:] if both else region[:2]

    def words(phrases: Phrases, side: str, level: str) -> str:
        return " ".join(choose(phrases[level], rng).format(side=side, **_BY_SIDE[side]).split())

    opening, where, at = "", "", ""
    if not side and not level:
        return PlacePhrase()
    if side and level and has_where and apart < _APART:
        where = words(region.adjectives, "", level)
        at = words(adverbs, side, "")
    elif has_where and place < _BEFORE:
        where = words(adjectives, side, level)
    else:
        at = words(adverbs, side, level)
    if at and place > _BEFORE + _BEHIND:
        opening, at = at[:1].upper() + at[1:], ""
    if sign.other_size is not None and sign.size - sign.other_size > _UNEVEN and uneven < _UNEVEN_SAID:
        at += f", {sign.side} greater than {sign.other_side}"
    return PlacePhrase(opening, where and f"{where} ", at if at[:1] in ("", ",") else f" {at}")
