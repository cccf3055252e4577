"""Reports with another report's finding in them: texts in which rare findings and places are no longer rare."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

from ammrg.text.labeler import mentions, sentences
from ammrg.text.places import finding_places
from ammrg.text.self_contradictions import self_contradictions

Kind = tuple[str, tuple[str, ...]]
"""A finding and the words of its place."""


class Transplants:
    """Puts a sentence that affirms a finding into another report, in the place of what that one says of the finding.

    Every (finding, place) that some report affirms is chosen equally often. A model trained on a few thousand reports
    sees a rare finding, or one on the rarer side, a dozen times and always in the same company; so it writes the common
    ones instead, whatever it is told.

    Args:
        reports: the training reports.
    """

    def __init__(self, reports: Sequence[str]) -> None:
        found: dict[Kind, list[str]] = defaultdict(list)
        for sentence in sorted({each for report in reports for each in sentences(report)}):
            for finding, place in finding_places(sentence).items():
                if finding != "No Finding":
                    found[finding, (*sorted(place.side), *sorted(place.level))].append(sentence)
        self.kinds = [found[kind] for kind in sorted(found)]

    def into(self, report: str, rng: random.Random) -> str:
        """The report with another finding in it; itself where there is none or it would contradict itself."""
        if not self.kinds:
            return report
        sentence = rng.choice(rng.choice(self.kinds))
        affirmed = finding_places(sentence).keys() - {"No Finding"}
        kept, place = [], None
        for number, own in enumerate(sentences(report)):
            if affirmed & {each.finding for each in mentions(own)}:
                place = number if place is None else place
            else:
                kept.append(own)
        kept.insert(rng.randint(0, len(kept)) if place is None else min(place, len(kept)), sentence)
        joined = " ".join(kept)
        return report if any(self_contradictions(joined)) else joined
