"""The part of METEOR's paraphrase table that some texts can use.

The jar's table has 5.3 million records, and Java needs seconds and a gigabyte to read them. A record matters only if
both of its phrases occur in the texts, so a table of these records alone gives the same alignments.

A record has three lines: a probability, which METEOR 1.5 does not use, a phrase, and its paraphrase. Records are sorted
by phrase. Words have no marks; only the probability has a point, by which a search finds the next record.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable

LONGEST = 7
"""Words of the longest phrase in the table."""
_WORD = re.compile("[a-z0-9]+")


def phrases(texts: Iterable[str]) -> set[bytes]:
    """Every run of 1 to 7 words of the texts, in lower case, without the marks between them."""
    words = [_WORD.findall(text.lower()) for text in set(texts)]
    return {
        " ".join(each[start:end]).encode()
        for each in words
        for start in range(len(each))
        for end in range(start + 1, min(start + LONGEST, len(each)) + 1)
    }


def usable(table: bytes, texts: Iterable[str]) -> bytes:
    """The records of a table whose two phrases occur in the texts, in their order.

    Args:
        table: all records, sorted by phrase.
        texts: in ASCII.
    """
    occurring, kept = phrases(texts), []
    place, missing = 0, b"\n"
    for phrase in sorted(occurring):
        if phrase.startswith(missing):
            continue
        place = bisect_left(range(len(table)), phrase, lo=place, key=lambda start: _record(table, start)[0])
        found, paraphrase, end = _record(table, place)
        if not (found + b" ").startswith(phrase + b" "):
            missing = phrase + b" "  # no phrase begins with these words
        while found == phrase:
            if paraphrase in occurring:
                kept.append(b"1\n%b\n%b\n" % (phrase, paraphrase))
            place = end
            found, paraphrase, end = _record(table, place)
    return b"".join(kept)


def _record(table: bytes, start: int) -> tuple[bytes, bytes, int]:
    """Phrase, paraphrase and end of the first record whose probability has its point at or after ``start``."""
    point = table.find(b".", start)
    if point < 0:
        return b"\xff", b"", len(table)  # after every phrase
    phrase = table.index(b"\n", point) + 1
    paraphrase = table.index(b"\n", phrase) + 1
    end = table.index(b"\n", paraphrase) + 1
    return table[phrase : paraphrase - 1], table[paraphrase : end - 1], end
