"""Report text made fit for training (``clean``), for word metrics (``normalise``), for comparison (``r2gen``)."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

from ammrg.errors import SettingsError
from ammrg.text.lines import ENDING_LINE
from ammrg.text.spoken import visible

R2GenDataset = Literal["iu_xray", "mimic_cxr"]

_ITEM = r"[.)](?=\s+[A-Za-z]|[A-Za-z]{3}|[A-Z][A-Za-z])"
_LIST_NUMBER = re.compile(rf"(?:^|(?<=[.:\n]))[ \t]*\d{{1,2}}{_ITEM}")
_FIRST_ITEM = re.compile(rf"(?:^|(?<=[.:\n]))\s*1{_ITEM}\s*")
_COUNTED = re.compile(
    r"\b(?:grade|stage|class|type|level|zone|phase|category|ribs?|day|pod|segment|lobe|series|image|number|size|score"
    r"|of|at|to|by|and|or|than|about|least|most|approximately)$",
    re.IGNORECASE,
)
"""Words after which a number belongs to them."""
_LINE_ENDS = re.compile(rf"(?<=[\w)%])[ \t]*{ENDING_LINE}")
_LEADING_MARKS = re.compile(r"^(?:[,;: ]|\.(?!\d))+")
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
    compatibility forms are folded (NFKC), invisible characters go, any run of white space becomes one space, list
    numbers (``1. Heart``, ``1.HEART``, and those that count on from a 1: ``1. Heart 2. Lungs``) and drawn lines (four
    or more underscores) go, a space before a mark goes, doubled full stops become one. A counted item that follows on
    the same line ends the sentence before it (``1.HEART LARGE 2. LUNGS`` is ``HEART LARGE. LUNGS``), and so does a
    line that begins an item, a field or a paragraph: without a full stop the items of a list would run together, and
    ``1. No effusion``, ``2. Edema`` on two lines deny the edema.

    Args:
        text: any text, empty allowed.

    Returns:
        The cleaned text, without white space at its ends; cleaning it again changes nothing.
    """
    folded = _LINE_ENDS.sub(". ", visible(unicodedata.normalize("NFKC", text)))
    previous = None
    while folded != previous:
        previous = folded
        folded = _LIST_NUMBER.sub(" ", _without_counting(_RULE.sub(" ", folded)))
        folded = " ".join(folded.split())
        folded = _SPACE_BEFORE_MARK.sub(r"\1", folded)
        folded = _LEADING_MARKS.sub("", _DOUBLED_STOP.sub(".", folded))
    return folded


def _without_counting(text: str) -> str:
    """A full stop, where no mark is, for the 2., 3. ... that count on within a line from a 1. at the start of a
    sentence: "1.Heart large 2. Lungs clear". Items start alike with a capital or a small letter, and no word such as
    "grade" stands before their numbers. Numbers at the start of a line or sentence are left."""
    first = _FIRST_ITEM.search(text)
    if first is None:
        return text
    letters = "A-Z" if text[first.end()].isupper() else "a-z"
    done, rest = text[: first.end()], text[first.end() :]
    for number in range(2, 100):
        items = re.finditer(rf"(?<=\S) +{number}[.)](?=\s*[{letters}][A-Za-z])", rest)
        item = next((found for found in items if not _COUNTED.search(rest[: found.start()])), None)
        if item is None:
            break
        before = rest[: item.start()]
        done, rest = done + before + (". " if before[-1].isalnum() else " "), rest[item.end() :]
    return done + rest


def normalise(text: str) -> str:
    """The light normalisation of the ``full`` protocol: lower case, words and marks separated by one space.

    Decimals (``1.5``), hyphenated words and ``xxxx`` or ``___`` stay one word each; every other mark is a word.
    """
    return " ".join(_WORD_OR_MARK.findall(visible(unicodedata.normalize("NFKC", text)).lower()))


def r2gen(text: str, dataset: str) -> str:
    """The text as the R2Gen family scores it: a view for comparison, never for training or clinical scores.

    Lower case; list numbers and runs of underscores or stops undone; cut into sentences at ``". "``; within a
    sentence a fixed set of marks is deleted *without a space*, so that ``1.5 cm nodule at T11. Follow-up`` of IU
    becomes ``15 cm nodule at t1follow-up`` there (the ``1.`` of ``T11.`` counts as a list number); sentences are joined
    by `` . `` with a final `` .``. For comparability the damage is kept, with two exceptions that no ordinary report
    meets: white space of any kind is one space, and a text without a word is empty, not a lone full stop that would
    match the references' own.

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
    text = " ".join(visible(text).split())
    if kind == "mimic_cxr":
        text = _collapse(text, "_")
    text = _collapse(text, ".").replace("1. ", "")
    for number in "2345":
        text = text.replace(f". {number}. ", ". ")
    for number in "2345":
        text = text.replace(f" {number}. ", ". ")
    if spaced_colon:
        text = text.replace(":", " :")
    sentences = (dropped.sub("", sentence).strip() for sentence in text.strip().lower().split(". "))
    words = " ".join((" . ".join(sentences) + " .").split())
    return words if words.strip(" .") else ""


def _collapse(text: str, *characters: str) -> str:
    """Make one of each run of these characters."""
    for character in characters:
        text = re.sub(re.escape(character) + "{2,}", character, text)
    return text
