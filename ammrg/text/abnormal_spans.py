"""Where a report says that something is there: the sentences a model that copies normal reports would never write."""

from __future__ import annotations

import re
from functools import lru_cache

from ammrg.findings import NEGATIVE
from ammrg.text.labeler import explain, sentences


@lru_cache(maxsize=1 << 18)  # a training set is read again each epoch
def abnormal_spans(text: str) -> tuple[tuple[int, int], ...]:
    """(start, stop) in characters of each sentence that the labeler reads as affirming one of the 13 abnormal findings,
    or as uncertain of one."""
    spans, place = [], 0
    for sentence in sentences(text):
        found = re.compile(r"\s+".join(map(re.escape, sentence.split()))).search(text, place)
        assert found is not None, "a sentence stands in its text"
        place = found.end()
        if any(mention.label != NEGATIVE for mention in explain(sentence)):
            spans.append(found.span())
    return tuple(spans)
