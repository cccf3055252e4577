"""What a DICOM film says of its projection, and of the sides of the patient on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from ammrg.imaging.attributes import items, text, value_of

VIEW_POSITIONS = {
    **dict.fromkeys(("AP", "PA", "LLD", "RLD", "AP AXIAL", "AP LLD", "AP RLD", "PA LLD", "PA RLD"), "frontal"),
    **dict.fromkeys(("LL", "RL", "LAT", "LATERAL"), "lateral"),
}
"""Values of ViewPosition (PS3.3, C.8.1.1 and C.8.11.5); all others, such as obliques, are ``unknown``."""
FRONTAL_WORDS = ("ANTERO-POSTERIOR", "POSTERO-ANTERIOR", "ANTEROPOSTERIOR", "POSTEROANTERIOR")
"""Words of the meanings of view codes (PS3.16, CID 4010)."""
EDGES = {"L": ("R", "L"), "R": ("L", "R"), "A": ("P", "A"), "P": ("A", "P")}
"""Direction of a film's rows -> what lies at its left and right edge."""


Choice = Literal["frontal", "lateral"]
"""A projection that a person may choose for a film; it goes before what the file says."""
CHOICES: Mapping[str, Choice] = {"frontal": "frontal", "lateral": "lateral"}
"""Each by its name."""


class Projection(NamedTuple):
    """A projection and what says so."""

    name: str
    """``frontal``, ``lateral`` or ``unknown``."""
    why: str
    """For example ``ViewPosition is PA``."""


def projection_in(tags: Any) -> Projection | None:
    """Read the projection of a film: from ViewPosition, else ViewCodeSequence, else PatientOrientation.

    Args:
        tags: a pydicom ``Dataset``.

    Returns:
        None: nothing says it.
    """
    if position := text(tags.get("ViewPosition")).upper():
        return Projection(VIEW_POSITIONS.get(position.replace("_", " "), "unknown"), f"ViewPosition is {position}")
    for item in items(tags, "ViewCodeSequence"):
        if meaning := text(item.get("CodeMeaning")):
            return Projection(_of_meaning(meaning.upper()), f"ViewCodeSequence is {meaning}")
    orientation = orientation_in(tags)
    if orientation is None:
        return None
    axes = frozenset("".join(direction[:1] for direction in orientation))
    lies = {"L": "frontal", "R": "frontal", "A": "lateral", "P": "lateral"}
    upright = axes & {"H", "F"}
    across = [lies[letter] for letter in axes if letter in lies]
    name = across[0] if upright and len(across) == 1 else "unknown"
    return Projection(name, f"PatientOrientation is {chr(92).join(orientation)}")


def orientation_in(tags: Any) -> tuple[str, str] | None:
    """Read PatientOrientation: the directions of the rows and the columns; None where it is absent or not a pair."""
    found = value_of(tags, "PatientOrientation")
    pair = [text(each).upper() for each in ([found] if isinstance(found, str) else found or [])]
    return (pair[0], pair[1]) if len(pair) == 2 and all(pair) else None


def sides_in(tags: Any) -> tuple[str, str] | None:
    """Read from PatientOrientation what lies at the left and the right edge of a film: ``("R", "L")`` as usual.

    Returns:
        None: it does not say, or the film is not upright.
    """
    orientation = orientation_in(tags)
    if orientation is None or orientation[1][:1] != "F":
        return None
    return EDGES.get(orientation[0][:1])


def turned(tags: Any, projection: str) -> str | None:
    """Tell whether a frontal film is mirrored or not upright, in words; None: it is not, as far as it says."""
    orientation = orientation_in(tags)
    if projection != "frontal" or orientation is None or [each[:1] for each in orientation] == ["L", "F"]:
        return None
    return (
        f"PatientOrientation is {chr(92).join(orientation)}, but a frontal film is read as L\\F (the patient's right "
        "at its left edge); sides in this report may be wrong"
    )


def _of_meaning(meaning: str) -> str:
    if "OBLIQUE" in meaning:
        return "unknown"
    if any(words in meaning for words in FRONTAL_WORDS):
        return "frontal"
    return "lateral" if "LATERAL" in meaning and "DECUBITUS" not in meaning else "unknown"
