"""How a report is asked for: the switches of the page. A new one is a field here, and a control in page.html."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Asked(NamedTuple):
    """The switches with which a report was written; their defaults are the model as it is."""

    memories: bool = True
    """Whether it was written with what is recalled."""
    mirrored: bool = False
    """Whether the films were flipped left to right."""

    @classmethod
    def of(cls, sent: Mapping[str, Any]) -> Asked:
        """Read what the page sent.

        Raises:
            ValueError: another field, or another type than the default's.
        """
        defaults = cls()._asdict()
        for name, value in sent.items():
            if name not in defaults or not isinstance(value, type(defaults[name])):
                raise ValueError(f"{name}: {value!r} is no setting of this page")
        return cls(**sent)

    def title(self) -> str:
        """Say in a few words what differs from the model as it was trained."""
        words = [*(() if self.memories else ("memories off",)), *(("films mirrored",) if self.mirrored else ())]
        return ", ".join(words) or "as trained"
