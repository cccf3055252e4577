"""How a report is asked for: the switches of the page. A new one is a field here, and a control in page.html."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ammrg.operating_points import BALANCED, in_words, operating_point
from ammrg.studies.projection import CHOICES, Choice


class Asked(NamedTuple):
    """The switches with which a report was written; their defaults are the model as it is."""

    memories: bool = True
    """Whether it was written with what is recalled."""
    mirrored: bool = False
    """Whether the films were flipped left to right."""
    operating_point: float = BALANCED
    """See :mod:`ammrg.operating_points`."""
    projections: str = ""
    """Those that a person chose, one for each film in the page's order, with commas between: ``frontal``, ``lateral``,
    or nothing where the film is read as its file says; empty = no film has one."""

    @classmethod
    def of(cls, sent: Mapping[str, Any]) -> Asked:
        """Read what the page sent.

        Raises:
            ValueError: another field, or another type than the default's.
            SettingsError: there is no such operating point.
        """
        defaults = cls()._asdict()
        for name, value in sent.items():
            if name not in defaults or not _fits(name, value):
                raise ValueError(f"{name}: {value!r} is no setting of this page")
        asked = cls(**sent)
        return asked._replace(
            operating_point=operating_point(asked.operating_point),
            projections=asked.projections if asked.chosen() else "",
        )

    def chosen(self) -> dict[int, Choice]:
        """Return the projections that a person chose: the index of a film -> its projection."""
        return {film: CHOICES[word] for film, word in enumerate(self.projections.split(",")) if word in CHOICES}

    def title(self) -> str:
        """Say in a few words what differs from the model as it was trained."""
        words = [
            *(() if self.memories else ("memories off",)),
            *(("films mirrored",) if self.mirrored else ()),
            *(f"film {film + 1} as {word}" for film, word in self.chosen().items()),
            *((f"operating point {in_words(self.operating_point)}",) if self.operating_point != BALANCED else ()),
        ]
        return ", ".join(words) or "as trained"


def _fits(name: str, value: Any) -> bool:
    """Tell whether a value may be that of a field."""
    if name == "operating_point":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if name == "projections":
        return isinstance(value, str) and set(value.split(",")) <= {"", *CHOICES}
    return isinstance(value, bool)
