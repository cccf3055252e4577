"""Reasons: the recalled patterns whose influence on a report exceeds that of random patterns."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

PERCENTILE = 95
"""A reason has more influence than this many in 100 random patterns on validation studies."""
MemoryKind = Literal["regions", "reports"]


class InfluenceThresholds(NamedTuple):
    """The influence (:mod:`ammrg.networks.influence`) that a recalled pattern must exceed to be called a reason."""

    regions: float | None
    """In nats: the percentile :data:`PERCENTILE` of the influence of random regions on validation studies; None where
    there is none, because the memory is off or nothing was recalled from it."""
    reports: float | None
    """The same of reports."""
    studies: int
    """Number of these studies."""
    chance: float
    """Share of them, in [0, 1], in which any of the random patterns passed as a reason."""

    def exceeded(self, kind: MemoryKind, influence: float | None) -> bool:
        """Tell whether a pattern of a memory is a reason; never where its influence was not measured (None)."""
        limit = self.regions if kind == "regions" else self.reports
        return limit is not None and influence is not None and influence > limit

    @classmethod
    def from_json(cls, value: Any) -> InfluenceThresholds:
        """Read what was written of :meth:`_asdict`.

        Raises:
            ValueError: it is something else.
        """
        try:
            regions, reports, studies, chance = (value[name] for name in cls._fields)
            limits = [None if limit is None else float(limit) for limit in (regions, reports)]
            return cls(limits[0], limits[1], int(studies), float(chance))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"is {value!r}, but must have {', '.join(cls._fields)}, with numbers") from error
