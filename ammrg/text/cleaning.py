"""Cleaning of report text: for training (``clean``), word metrics (``normalise``) and comparison (``r2gen``)."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

from ammrg.errors import SettingsError
from ammrg.text.blank import visible
from ammrg.text.lines import ENDING_LINE

R2GenDataset = Literal["iu_xray", "mimic_cxr"]

_ITEM = r"[.)](?=\s+[A-Za-z]|[A-Za-z]{3}|[A-Z][A-Za-z])"
_LIST_NUMBER = re.compile(rf"(?:^|(?<=[.:\n]))[ \t]*\d{{1,2}}{_ITEM}")
_FIRST_ITEM = re.compile(rf"(?:^|(?<=[.:\n]))\s*1{_ITEM}\s*")
_COUNTED = re.compile(
    r"\b(?:grade|stage|class|type|level|zone|phase|category|ribs?|day|pod|segment|lobe|series|image|number|size|score"
    r"|of|at|to|by|and|or|than|about|least|most|approximately)$",
    re.IGNORECASE,
)
"""Words that take the number after them ("grade 2"), so that it is no list number."""
_LINE_ENDS = re.compile(rf"(?<=[\w)%])[ \t]*{ENDING_LINE}")
_LEADING_MARKS = re.compile(r"^(?:[,;: ]|\.(?!\d))+")
_RULE = re.compile(r"(?<!_)_{4,}(?!_)")
_SPACE_BEFORE_MARK = re.compile(r"\s+([.,;:?!])(?=\s|$)")
_DOUBLED_STOP = re.compile(r"\.(?:\s*\.)+(?=\s|$)")
_WORD_OR_MARK = re.compile(r"\d+(?:[.,]\d+)+|_{2,}|\w+(?:['’-]\w+)*|[^\w\s]")
# The published character class contains the range from ":" to "[": it also matches ; < = > ? @, but not the hyphen.
_R2GEN_DROPPED = re.compile(r"""[.,?;*!%^&_+():<=>@\[\]{}"'/\\]""")
_R2GENGPT_DROPPED = re.compile(r"""[.,?;*!%^&_+()\[\]{}"'/\\]""")
_R2GEN_ALIASES: dict[str, R2GenDataset] = {
    "iu_xray": "iu_xray",
    "phantom": "iu_xray",
    "mimic_cxr": "mimic_cxr",
    "chexpert_plus": "mimic_cxr",
}


def clean(text: str) -> str:
    """Clean one report into the form that the model learns to write.

    Kept as written: case, decimals (``1.5 cm``), levels (``T11``), and the marks of de-identification (``XXXX``,
    ``___``). These marks replace words, and deleting them would join words that were apart.

    Changed:

    - Unicode compatibility forms are folded (NFKC) and invisible characters are removed.
    - Every run of white space becomes one space, and a space before a punctuation mark is removed.
    - List numbers are removed: ``1. Heart``, ``1.HEART``, and numbers that count on from a 1 (``1. Heart 2. Lungs``).
    - Drawn lines (four or more underscores) are removed, and doubled full stops become one.
    - A numbered item on the same line ends the sentence before it: ``1.HEART LARGE 2. LUNGS`` becomes
      ``HEART LARGE. LUNGS``. So does a line that begins a list item, a form field or a paragraph. Without the full
      stop the items of a list would run together, and ``1. No effusion``, ``2. Edema`` on two lines would deny the
      edema.

    Args:
        text: any text, empty allowed.

    Returns:
        The cleaned text, without white space at its ends. Cleaning it again changes nothing.
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
    """Replace the numbers of a list within a line by full stops: "1.Heart large 2. Lungs clear".

    The list starts with a 1. at the start of a sentence, and 2., 3. ... follow within the line. A full stop is added
    only after a letter or digit. All items must start with a capital, or all with a small letter, and no word such as
    "grade" may come before a number. Numbers at the start of a line or sentence are left as they are.
    """
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
    """Normalise a text as the ``full`` protocol does: lower case, words and marks separated by one space.

    Decimals (``1.5``), hyphenated words, ``xxxx`` and ``___`` each stay one word. Every other mark is a word.
    """
    return " ".join(_WORD_OR_MARK.findall(visible(unicodedata.normalize("NFKC", text)).lower()))


def r2gen(text: str, dataset: str) -> str:
    """Clean a text as R2Gen and its successors do: for comparison only, never for training or clinical scores.

    The text is lower-cased, list numbers are removed, and runs of underscores or full stops become one. It is split
    into sentences at ``". "``. Within a sentence a fixed set of marks is deleted *without a space*: IU X-Ray's
    ``1.5 cm nodule at T11. Follow-up`` becomes ``15 cm nodule at t1follow-up`` (the ``1.`` of ``T11.`` is taken for a
    list number). Sentences are joined by `` . ``, and `` .`` ends the text.

    This damage is kept so that scores can be compared, with two exceptions that no ordinary report meets. White space
    of any kind is one space. A text without a word is empty; as a lone full stop it would match the references' own.

    Args:
        text: one report.
        dataset: ``iu_xray`` or ``mimic_cxr``. ``phantom`` is treated as the first, ``chexpert_plus`` as the second.

    Returns:
        Words separated by one space.

    Raises:
        SettingsError: for any other data set.
    """
    return _r2gen_family(text, _r2gen_kind(dataset), _R2GEN_DROPPED)


def r2gengpt(text: str, dataset: str) -> str:
    """Clean a text as R2GenGPT and AM-MRG do.

    On IU X-Ray this is R2Gen's cleaner. On MIMIC-CXR the colon stays, as a word of its own, and ``< = > @`` and the
    hyphen stay too.

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
    """Replace each run of one of these characters by a single one."""
    for character in characters:
        text = re.sub(re.escape(character) + "{2,}", character, text)
    return text
