"""The sentences of a report that affirm an abnormality: a model that copies normal reports never writes them."""

from __future__ import annotations

import re
from functools import lru_cache

from ammrg.findings import NEGATIVE
from ammrg.text.labeler import explain, sentences


@lru_cache(maxsize=1 << 18)  # every epoch reads the training set again
def abnormal_spans(text: str) -> tuple[tuple[int, int], ...]:
    """The (start, stop) of each abnormal sentence, in characters.

    A sentence is abnormal if the labeler finds one of the 13 abnormal findings in it, present or uncertain.
    """
    spans, place = [], 0
    for sentence in sentences(text):
        found = re.compile(r"\s+".join(map(re.escape, sentence.split()))).search(text, place)
        assert found is not None, "a sentence is part of its text"
        place = found.end()
        if any(mention.label != NEGATIVE for mention in explain(sentence)):
            spans.append(found.span())
    return tuple(spans)
