"""The part of the body on a DICOM film: refuses films that their own tags place elsewhere than in the chest."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from typing import Any

from ammrg.imaging.attributes import items, text

WORDS = (
    "ABDOMEN|ABDOMENPELVIS|ANKLE|BREAST|CALCANEUS|COCCYX|CSPINE|ELBOW|EXTREMITY|FEMUR|FIBULA|FINGER|FOOT|FOREARM|HAND|"
    "HIP|HUMERUS|JAW|KNEE|LSPINE|LSSPINE|MANDIBLE|MAXILLA|ORBIT|PATELLA|PELVIS|SKULL|SSPINE|THIGH|THUMB|TIBIA|TOE|"
    "WRIST|ZYGOMA"
)
"""Parts of the body (PS3.16, annex L) that do not show the chest, wherever they are named."""
ELSEWHERE = re.compile(f"(?<![A-Z])(ARM|FACE|HEAD|LEG|{WORDS})S?(?![A-Z])")
"""The same words, and those that in free text ("arms up") say how a chest was taken.

The tags are often empty, free text, or name a part next to the chest (RIB, SHOULDER, TSPINE). So a film is refused only
for one of these words, and not where a word of :data:`CHEST` is in any of the tags."""
ELSEWHERE_IN_TEXT = re.compile(f"(?<![A-Z])({WORDS})S?(?![A-Z])")
CHEST = re.compile("CHEST|THORA|LUNG")


def elsewhere(tags: Any) -> str | None:
    """Find the attribute that places a film elsewhere than in the chest.

    BodyPartExamined, SeriesDescription and the codes of AnatomicRegionSequence are read; where they disagree, the film
    counts as one of the chest.

    Args:
        tags: a pydicom ``Dataset``.

    Returns:
        The attribute and its value, for example ``BodyPartExamined is HAND``; None: the film may show a chest.
    """
    part, series = (text(tags.get(keyword)).upper() for keyword in ("BodyPartExamined", "SeriesDescription"))
    regions = list(_regions(tags))
    if any(CHEST.search(words) for words in (part, series, *regions)):
        return None
    if ELSEWHERE.search(part):
        return f"BodyPartExamined is {part}"
    named = next((words for words in regions if ELSEWHERE.search(words)), None)
    if named is not None:
        return f"AnatomicRegionSequence is {named}"
    return f"SeriesDescription is {series}" if ELSEWHERE_IN_TEXT.search(series) else None


def _regions(tags: Any) -> Iterator[str]:
    """The names of all coded regions: their meanings, in any language, and the standard's names of their codes."""
    for item in items(tags, "AnatomicRegionSequence"):
        keywords = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
        value, scheme, meaning = (text(item.get(keyword)) for keyword in keywords)
        coding: Any = importlib.import_module("pydicom.sr.coding")
        known = importlib.import_module("pydicom.sr.codedict").codes.cid4031.concepts
        code = coding.Code(value, scheme, meaning)
        yield from (each.meaning.upper() for each in known.values() if each == code)
        yield meaning.upper()
