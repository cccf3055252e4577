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
    Comparable to R2Gen and R2GenCMN.
``r2gengpt``
    R2GenGPT's and AM-MRG's: its cleaner on both sides (on MIMIC-CXR it keeps the colon, the hyphen and ``< = > @``);
    the reference cut to 60 (IU X-Ray, phantom) or 100 (MIMIC-CXR, CheXpert Plus) *sub-tokens* of the language model, so
    its tokenizer must be named; a word cut in two stays cut. Nothing is unknown. Comparable to R2GenGPT and AM-MRG
    where the tokenizer is theirs (Llama 2 or Qwen 1.5); references are shorter than r2gen's.
``rexrank``
    Not scored here: a file is written in the layout that ReXrank's own tool reads, and its figures are that tool's.

Under each a text that says nothing ("", "nan", "---") is empty, and white space is white space, of any kind or length.
Clinical scores never read these views: they label the whole text as written.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ammrg.errors import ScoringError
from ammrg.text.cleaning import normalise, r2gen, r2gengpt
from ammrg.text.spoken import spoken

SCORED = ("full", "r2gen", "r2gengpt")
PROTOCOLS = (*SCORED, "rexrank")
DEFAULT = ("full", "r2gen")
"""What needs nothing but the texts."""
UNKNOWN = "<unk>"
_R2GEN_SETTINGS = {"iu_xray": (59, 3), "phantom": (59, 3), "mimic_cxr": (99, 10), "chexpert_plus": (99, 10)}
"""Words kept of a reference, and how often a word must stand in training to be known."""
_SUBTOKENS = {"iu_xray": 60, "phantom": 60, "mimic_cxr": 100, "chexpert_plus": 100}
"""Sub-tokens kept of a reference."""


CUT_FOR = tuple(_R2GEN_SETTINGS)
"""Data sets whose cleaner and cut ``r2gen`` and ``r2gengpt`` know."""


class Protocol(NamedTuple):
    """How both sides are read."""

    name: str
    reference: Callable[[str], str]
    hypothesis: Callable[[str], str]
    settings: dict[str, int | str | None]
    """What the score table says of it."""


def protocol(
    name: str, dataset: str | None, train_texts: Sequence[str] | None = None, tokenizer: str | Path | None = None
) -> Protocol:
    """The protocol of this name for a data set.

    Args:
        name: ``full``, ``r2gen`` or ``r2gengpt``.
        dataset: ``phantom``, ``iu_xray``, ``mimic_cxr`` or ``chexpert_plus``; ``full`` needs none.
        train_texts: raw training reports for ``r2gen``'s vocabulary; None leaves every word known.
        tokenizer: for ``r2gengpt``: the language model's ``tokenizer.json``, or the folder that holds it.

    Raises:
        ScoringError: an unknown protocol or data set, or ``r2gengpt`` without a tokenizer that can be read.
    """
    if name not in SCORED:
        raise ScoringError(f"protocol {name!r} is unknown; choose among {', '.join(SCORED)}.")
    found = _named(name, dataset, train_texts, tokenizer)
    return found._replace(
        reference=lambda text: found.reference(told) if (told := spoken(text)) else "",
        hypothesis=lambda text: found.hypothesis(told) if (told := spoken(text)) else "",
    )


def _named(name: str, dataset: str | None, train_texts: Sequence[str] | None, tokenizer: str | Path | None) -> Protocol:
    if name == "full":
        return Protocol(name, normalise, normalise, {"cleaner": "normalise", "words": None, "vocabulary": None})
    if dataset is None or dataset not in CUT_FOR:
        which = "nothing says which" if dataset is None else f"data set {dataset!r} is unknown"
        raise ScoringError(
            f"protocol {name}: its cleaner and cut are a data set's, and {which}; choose among {', '.join(CUT_FOR)} "
            "(--dataset)."
        )
    return _r2gen_protocol(dataset, train_texts) if name == "r2gen" else _r2gengpt_protocol(dataset, tokenizer)


def _r2gen_protocol(dataset: str, train_texts: Sequence[str] | None) -> Protocol:
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
    return Protocol("r2gen", reference, lambda text: r2gen(text, dataset), settings)


def _r2gengpt_protocol(dataset: str, tokenizer: str | Path | None) -> Protocol:
    if tokenizer is None:
        raise ScoringError(
            "protocol r2gengpt cuts references to sub-tokens of a language model: name its folder, or its "
            "tokenizer.json, with --tokenizer."
        )
    path = Path(tokenizer)
    path = path / "tokenizer.json" if path.is_dir() else path
    if not path.is_file():
        raise ScoringError(f"{path}: no such tokenizer; name a language model's folder, or its tokenizer.json.")
    from tokenizers import Tokenizer

    try:
        reader = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises a bare Exception for a file that is no tokenizer
        raise ScoringError(f"{path}: not a tokenizer ({error}); name a language model's tokenizer.json.") from error
    reader.no_padding()
    reader.no_truncation()
    kept = _SUBTOKENS[dataset]

    def reference(text: str) -> str:
        ids = reader.encode(r2gengpt(text, dataset), add_special_tokens=False).ids
        return " ".join(reader.decode(ids[:kept]).split())

    settings: dict[str, int | str | None] = {
        "cleaner": f"r2gengpt {dataset}",
        "subtokens": kept,
        "tokenizer": hashlib.sha256(path.read_bytes()).hexdigest()[:16],
    }
    return Protocol("r2gengpt", reference, lambda text: r2gengpt(text, dataset), settings)
