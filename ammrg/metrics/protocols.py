"""Scoring protocols: how texts are cleaned and cut before word metrics. Papers are comparable only under the same one.

``full``
    The whole reference in lower case, words and marks apart (:func:`ammrg.text.cleaning.normalise`). No text is cut and
    every word is known. Comparable between systems scored by this tool, and closest to papers that score whole
    findings, study by study (LLaVA-Rad, Libra, MAIRA).
``r2gen``
    The protocol of R2Gen and its successors: its cleaner on both sides. The reference is cut to 59 words (IU X-Ray,
    phantom) or 99 (MIMIC-CXR, CheXpert Plus), because one of the decoder's 60 or 100 places holds a start mark. If
    training texts are given, reference words that occur there fewer than 3 or 10 times become ``<unk>``. The generated
    text is only cleaned, so an unknown word of the reference never matches, just as in R2Gen.
    Comparable to R2Gen and R2GenCMN.
``r2gengpt``
    The protocol of R2GenGPT and AM-MRG: its cleaner on both sides (on MIMIC-CXR it keeps the colon, the hyphen and
    ``< = > @``). The reference is cut to 60 (IU X-Ray, phantom) or 100 (MIMIC-CXR, CheXpert Plus) *sub-tokens* of the
    language model, so its tokenizer must be given; a word that is cut in two stays cut. Every word is known. Comparable
    to R2GenGPT and AM-MRG if the tokenizer is theirs (Llama 2 or Qwen 1.5). References are shorter than r2gen's.
``rexrank``
    Not scored here: a file is written in the layout of ReXrank's own tool, which computes its scores.

In every protocol a text that says nothing ("", "nan", "---") is empty, and all white space is alike. Clinical scores
never use these protocols: they label the whole text as written.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ammrg.errors import ScoringError
from ammrg.text.blank import scored_text
from ammrg.text.cleaning import normalise, r2gen, r2gengpt

SCORED = ("full", "r2gen", "r2gengpt")
PROTOCOLS = (*SCORED, "rexrank")
DEFAULT = ("full", "r2gen")
"""Protocols that need only the texts."""
UNKNOWN = "<unk>"
_R2GEN_SETTINGS = {"iu_xray": (59, 3), "phantom": (59, 3), "mimic_cxr": (99, 10), "chexpert_plus": (99, 10)}
"""(words kept of a reference, fewest occurrences in the training texts of a known word)."""
_SUBTOKENS = {"iu_xray": 60, "phantom": 60, "mimic_cxr": 100, "chexpert_plus": 100}
"""Sub-tokens kept of a reference."""


CUT_FOR = tuple(_R2GEN_SETTINGS)
"""Data sets for which ``r2gen`` and ``r2gengpt`` have a cleaner and a cut."""


class Protocol(NamedTuple):
    """How references and hypotheses are cleaned and cut."""

    name: str
    reference: Callable[[str], str]
    hypothesis: Callable[[str], str]
    settings: dict[str, int | str | None]
    """Its settings, for the score table."""


def protocol(
    name: str, dataset: str | None, train_texts: Sequence[str] | None = None, tokenizer: str | Path | None = None
) -> Protocol:
    """The protocol of this name for a data set.

    Args:
        name: ``full``, ``r2gen`` or ``r2gengpt``.
        dataset: ``phantom``, ``iu_xray``, ``mimic_cxr`` or ``chexpert_plus``; ``full`` needs none.
        train_texts: raw training reports for ``r2gen``'s vocabulary; None: every word is known.
        tokenizer: for ``r2gengpt``: the language model's ``tokenizer.json``, or the folder that contains it.

    Raises:
        ScoringError: if the protocol or data set is unknown, or ``r2gengpt`` has no readable tokenizer.
    """
    if name not in SCORED:
        raise ScoringError(f"protocol {name!r} is unknown; choose among {', '.join(SCORED)}.")
    found = _named(name, dataset, train_texts, tokenizer)
    return found._replace(
        reference=lambda text: found.reference(words) if (words := scored_text(text)) else "",
        hypothesis=lambda text: found.hypothesis(words) if (words := scored_text(text)) else "",
    )


def _named(name: str, dataset: str | None, train_texts: Sequence[str] | None, tokenizer: str | Path | None) -> Protocol:
    if name == "full":
        return Protocol(name, normalise, normalise, {"cleaner": "normalise", "words": None, "vocabulary": None})
    if dataset is None or dataset not in CUT_FOR:
        which = "no data set is given" if dataset is None else f"data set {dataset!r} is unknown"
        raise ScoringError(
            f"protocol {name}: its cleaner and cut depend on the data set, and {which}; choose one of "
            f"{', '.join(CUT_FOR)} (--dataset)."
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
