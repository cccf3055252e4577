"""What changed between two reports of one study: words, and the sides of findings."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import groupby
from typing import Any, Literal, NamedTuple

from ammrg.metrics.mirroring import OUTCOMES, outcomes
from ammrg.text.labeler import sentences
from ammrg.text.places import finding_places

Kind = Literal["same", "new", "gone"]


class Piece(NamedTuple):
    """Words of one kind."""

    kind: Kind
    text: str


def marked_sentences(before: str | None, after: str) -> list[list[Piece]]:
    """Divide the sentences of a report into pieces: words that were there before, new ones, and where some are gone.

    Args:
        before: the report to compare with; None: nothing is marked.
        after: the report.

    Returns:
        For each sentence of ``after`` its pieces; one list more where words are gone after the last sentence.
    """
    words = [(row, word) for row, sentence in enumerate(sentences(after)) for word in sentence.split()]
    earlier = [word for _, word in words] if before is None else " ".join(sentences(before)).split()
    marked: list[tuple[int, Kind, str]] = []
    matcher = SequenceMatcher(None, earlier, [word for _, word in words], autojunk=False)
    for operation, start, stop, first, last in matcher.get_opcodes():
        if operation == "equal":
            marked += [(row, "same", word) for row, word in words[first:last]]
            continue
        # Words that are gone stand before those that came instead; after the last sentence, in a list of their own.
        row = words[first][0] if first < len(words) else (words[-1][0] + 1 if words else 0)
        marked += [(row, "gone", word) for word in earlier[start:stop]]
        marked += [(row, "new", word) for row, word in words[first:last]]
    return [_pieces([(kind, word) for _, kind, word in own]) for _, own in groupby(marked, lambda each: each[0])]


def _pieces(marked: Sequence[tuple[Kind, str]]) -> list[Piece]:
    """Join the words of a sentence that are of one kind.

    Where less than half of the words stayed, the whole sentence counts as new: a reader cannot follow single words.
    """
    there = [word for kind, word in marked if kind != "gone"]
    earlier = [word for kind, word in marked if kind != "new"]
    same = sum(kind == "same" for kind, _ in marked)
    if 2 * same < max(len(there), len(earlier)):
        whole: list[tuple[Kind, list[str]]] = [("gone", earlier), ("new", there)]
        return [Piece(kind, " ".join(words)) for kind, words in whole if words]
    return [Piece(kind, " ".join(word for _, word in run)) for kind, run in groupby(marked, lambda each: each[0])]


def followed_sides(before: str, after: str) -> dict[str, Any]:
    """Compare the sides in a report with those in the report of the mirrored films.

    Returns:
        ``findings``: name, side before, sides after, and the outcome (:data:`ammrg.metrics.mirroring.OUTCOMES`) of each
        finding that the first report puts on one side; ``sentence``: how many follow the films.
    """
    places = finding_places(before), finding_places(after)
    found = outcomes(*places)
    rows = [
        {
            "finding": name,
            "before": _side(places[0][name].side),
            "after": _side(places[1][name].side) if name in places[1] else "not in the report",
            "outcome": outcome,
        }
        for name, outcome in found.items()
    ]
    return {"findings": rows, "sentence": _sentence(list(found.values()))}


def _sentence(found: Sequence[str]) -> str:
    if not found:
        return "The report puts no finding on one side, so nothing can change sides."
    flipped, count = found.count(OUTCOMES[0]), len(found)
    if not flipped and count == 1:
        return "The finding that is on one side did not change sides with the films: the report does not look."
    which = {1: "The finding", 2: "Both findings"}.get(count, f"All {count} findings")
    if flipped < count:
        which = f"{flipped or 'None'} of the {count} findings"
    looks = "the report looks" if flipped == count else "the others do not follow them"
    return f"{which} on one side changed sides with the films: {looks if flipped else 'the report does not look'}."


def _side(sides: frozenset[str]) -> str:
    return " and ".join(sorted(sides)) or "no side"
