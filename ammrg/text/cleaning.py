"""Report text made fit for training (``clean``), for word metrics (``normalise``), for comparison (``r2gen``)."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

from ammrg.errors import SettingsError

R2GenDataset = Literal["iu_xray", "mimic_cxr"]

_LIST_NUMBER = re.compile(r"(?:^|(?<=[.:\n]))[ \t]*\d{1,2}[.)](?=\s+[A-Za-z])")
_RULE = re.compile(r"(?<!_)_{4,}(?!_)")
_SPACE_BEFORE_MARK = re.compile(r"\s+([.,;:?!])(?=\s|$)")
_DOUBLED_STOP = re.compile(r"\.(?:\s*\.)+(?=\s|$)")
_WORD_OR_MARK = re.compile(r"\d+(?:[.,]\d+)+|_{2,}|\w+(?:['’-]\w+)*|[^\w\s]")
# The published character class holds a range from ":" to "[", which takes ; < = > ? @ too and spares the hyphen.
_R2GEN_DROPPED = re.compile(r"""[.,?;*!%^&_+():<=>@\[\]{}"'/\\]""")
_R2GENGPT_DROPPED = re.compile(r"""[.,?;*!%^&_+()\[\]{}"'/\\]""")
_R2GEN_ALIASES: dict[str, R2GenDataset] = {
    "iu_xray": "iu_xray",
    "phantom": "iu_xray",
    "mimic_cxr": "mimic_cxr",
    "chexpert_plus": "mimic_cxr",
}


def clean(text: str) -> str:
    """One report as the model shall learn to write it.

    Kept as written: case, decimals (``1.5 cm``), levels (``T11``), and the marks of de-identification (``XXXX``,
    ``___``): they stand for words that were there, so dropping them would join what was apart. Changed: Unicode
    compatibility forms are folded (NFKC), any run of white space becomes one space, list numbers at the start of a
    sentence (``1. Heart``) and drawn lines (four or more underscores) go, a space before a mark goes, doubled full
    stops become one.

    Args:
        text: any text, empty allowed.

    Returns:
        The cleaned text, without white space at its ends; cleaning it again changes nothing.
    """
    folded = unicodedata.normalize("NFKC", text)
    previous = None
    while folded != previous:
        previous = folded
        folded = _LIST_NUMBER.sub(" ", _RULE.sub(" ", folded))
        folded = " ".join(folded.split())
        folded = _SPACE_BEFORE_MARK.sub(r"\1", folded)
        folded = _DOUBLED_STOP.sub(".", folded).lstrip(".,;: ")
    return folded


def normalise(text: str) -> str:
    """The light normalisation of the ``full`` protocol: lower case, words and marks separated by one space.

    Decimals (``1.5``), hyphenated words and ``xxxx`` or ``___`` stay one word each; every other mark is a word.
    """
    return " ".join(_WORD_OR_MARK.findall(unicodedata.normalize("NFKC", text).lower()))


def r2gen(text: str, dataset: str) -> str:
    """The text as the R2Gen family scores it: a view for comparison, never for training or clinical scores.

    Lower case; list numbers and runs of underscores or stops undone; cut into sentences at ``". "``; within a
    sentence a fixed set of marks is deleted *without a space*, so that ``1.5 cm nodule at T11. Follow-up`` of IU
    becomes ``15 cm nodule at t1follow-up`` there (the ``1.`` of ``T11.`` counts as a list number); sentences are joined
    by `` . `` with a final `` .``. For comparability the damage is kept.

    Args:
        text: one report.
        dataset: ``iu_xray`` or ``mimic_cxr``; ``phantom`` is read as the first, ``chexpert_plus`` as the second.

    Returns:
        Words separated by one space.

    Raises:
        SettingsError: for any other data set.
    """
    return _r2gen_family(text, _r2gen_kind(dataset), _R2GEN_DROPPED)


def r2gengpt(text: str, dataset: str) -> str:
    """The text as R2GenGPT and AM-MRG read it: R2Gen's cleaner on IU X-Ray; on MIMIC-CXR the colon stays, as a word of
    its own, and so do ``< = > @`` and the hyphen.

    Args:
        text: one report.
        dataset: as for :func:`r2gen`.

    Returns:
        Words separated by one space.

    Raises:
        SettingsError: for any other data set.
    """
    if _r2gen_kind(dataset) == "iu_xray":
        return r2gen(text, dataset)
    return _r2gen_family(text, "mimic_cxr", _R2GENGPT_DROPPED, spaced_colon=True)


def _r2gen_kind(dataset: str) -> R2GenDataset:
    if dataset not in _R2GEN_ALIASES:
        raise SettingsError(f"r2gen cleaning: dataset is {dataset!r}; choose one of {', '.join(_R2GEN_ALIASES)}.")
    return _R2GEN_ALIASES[dataset]


def _r2gen_family(text: str, kind: R2GenDataset, dropped: re.Pattern[str], *, spaced_colon: bool = False) -> str:
    if kind == "mimic_cxr":
        text = _collapse(text.replace("\n", " "), "_", " ")
    text = _collapse(text, ".").replace("1. ", "")
    for number in "2345":
        text = text.replace(f". {number}. ", ". ")
    for number in "2345":
        text = text.replace(f" {number}. ", ". ")
    if spaced_colon:
        text = text.replace(":", " :")
    sentences = (dropped.sub("", sentence).strip() for sentence in text.strip().lower().split(". "))
    return " ".join((" . ".join(sentences) + " .").split())


def _collapse(text: str, *characters: str) -> str:
    """Make one of each run of these characters."""
    for character in characters:
        text = re.sub(re.escape(character) + "{2,}", character, text)
    return text
