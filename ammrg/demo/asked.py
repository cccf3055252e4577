"""How a report is asked for: the switches of the page. A new one is a field here, and a control in page.html."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ammrg.operating_points import BALANCED, in_words, operating_point


class Asked(NamedTuple):
    """The switches with which a report was written; their defaults are the model as it is."""

    memories: bool = True
    """Whether it was written with what is recalled."""
    mirrored: bool = False
    """Whether the films were flipped left to right."""
    operating_point: float = BALANCED
    """See :mod:`ammrg.operating_points`."""

    @classmethod
    def of(cls, sent: Mapping[str, Any]) -> Asked:
        """Read what the page sent.

        Raises:
            ValueError: another field, or another type than the default's.
            SettingsError: there is no such operating point.
        """
        defaults = cls()._asdict()
        for name, value in sent.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            wanted = is_number if name == "operating_point" else isinstance(value, bool)
            if name not in defaults or not wanted:
                raise ValueError(f"{name}: {value!r} is no setting of this page")
        asked = cls(**sent)
        return asked._replace(operating_point=operating_point(asked.operating_point))

    def title(self) -> str:
        """Say in a few words what differs from the model as it was trained."""
        words = [
            *(() if self.memories else ("memories off",)),
            *(("films mirrored",) if self.mirrored else ()),
            *((f"operating point {in_words(self.operating_point)}",) if self.operating_point != BALANCED else ()),
        ]
        return ", ".join(words) or "as trained"
