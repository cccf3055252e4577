"""Named ways to read texts before word metrics: what makes two papers' numbers comparable, or not.

``full``
    The whole reference, lower-cased, words and marks apart (:func:`ammrg.text.cleaning.normalise`); nothing cut,
    nothing unknown. Comparable between systems scored by this tool; closest to those scored on whole findings, study by
    study (LLaVA-Rad, Libra, MAIRA).
``r2gen``
    The R2Gen family's: its cleaner on both sides; the reference cut to 59 words (IU X-Ray, phantom) or 99 (MIMIC-CXR,
    CheXpert Plus), for its decoder's 60 or 100 places hold a start mark; and, where training texts are given, words
    seen there fewer than 3 or 10 times replaced by ``<unk>`` in the reference. The generated text is cleaned, neither
    cut nor thresholded: an unknown word of the reference then never matches, as it would not there.
    Comparable to R2Gen and R2GenCMN; near to R2GenGPT and AM-MRG, which cut references to 60 or 100 LLM *sub-tokens*.

Clinical scores never read these views: they label the whole text as written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ammrg.errors import ScoringError
from ammrg.text.cleaning import normalise, r2gen

PROTOCOLS = ("full", "r2gen")
UNKNOWN = "<unk>"
_R2GEN_SETTINGS = {"iu_xray": (59, 3), "phantom": (59, 3), "mimic_cxr": (99, 10), "chexpert_plus": (99, 10)}
"""Words kept of a reference, and how often a word must stand in training to be known."""


class Protocol(NamedTuple):
    """How both sides are read."""

    name: str
    reference: Callable[[str], str]
    hypothesis: Callable[[str], str]
    settings: dict[str, int | str | None]
    """What the score table says of it."""


def protocol(name: str, dataset: str, train_texts: Sequence[str] | None = None) -> Protocol:
    """The protocol of this name for a data set.

    Args:
        name: ``full`` or ``r2gen``.
        dataset: ``phantom``, ``iu_xray``, ``mimic_cxr`` or ``chexpert_plus``.
        train_texts: raw training reports for ``r2gen``'s vocabulary; None leaves every word known.

    Raises:
        ScoringError: an unknown protocol or data set.
    """
    if name == "full":
        return Protocol(name, normalise, normalise, {"cleaner": "normalise", "words": None, "vocabulary": None})
    if name != "r2gen":
        raise ScoringError(f"protocol {name!r} is unknown; choose among {', '.join(PROTOCOLS)}.")
    if dataset not in _R2GEN_SETTINGS:
        known_sets = ", ".join(_R2GEN_SETTINGS)
        raise ScoringError(f"protocol r2gen: data set {dataset!r} is unknown; choose among {known_sets}.")
    words, threshold = _R2GEN_SETTINGS[dataset]
    known: set[str] | None = None
    if train_texts is not None:
        counts = Counter(word for text in train_texts for word in r2gen(text, dataset).split())
        known = {word for word, times in counts.items() if times >= threshold}

    def reference(text: str) -> str:
        kept = r2gen(text, dataset).split()[:words]
        return " ".join(word if known is None or word in known else UNKNOWN for word in kept)

    settings: dict[str, int | str | None] = {
        "cleaner": f"r2gen {dataset}",
        "words": words,
        "vocabulary": None if known is None else len(known),
    }
    return Protocol(name, reference, lambda text: r2gen(text, dataset), settings)
