"""Reasons: the recalled patterns whose influence on a report exceeds that of random patterns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from ammrg.errors import CheckpointError
from ammrg.types import Attribution

PERCENTILE = 95
"""A reason has more influence than this many in 100 random patterns on validation studies."""
MemoryKind = Literal["regions", "reports"]


class InfluenceThresholds(NamedTuple):
    """The influence, in nats, that a recalled pattern must exceed to be called a reason.

    For each memory, it is the percentile :data:`PERCENTILE` of the influence of random patterns.
    """

    regions: float | None
    """Of the memory of regions; None where it is off, or where no validation study recalled from it."""
    reports: float | None
    """Of the memory of reports."""
    studies: int
    """Number of validation studies on which both were measured."""

    @classmethod
    def from_json(cls, value: Any, where: str) -> InfluenceThresholds | None:
        """Read what :meth:`_asdict` wrote; None stays None (a file of an earlier version).

        Raises:
            CheckpointError: it is something else; the message starts with ``where``.
        """
        if value is None:
            return None
        try:
            regions, reports, studies = (value[name] for name in cls._fields)
            limits = [None if limit is None else float(limit) for limit in (regions, reports)]
            return cls(limits[0], limits[1], int(studies))
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{where}: influence_threshold is {value!r}, but must have {', '.join(cls._fields)}, with numbers; "
                "write the reports again (make reports), or restore the file"
            ) from error

    def exceeded(self, kind: MemoryKind, patterns: Iterable[Attribution]) -> list[Attribution]:
        """Return the patterns of a memory whose influence was measured and is above the threshold."""
        limit = self.regions if kind == "regions" else self.reports
        if limit is None:
            return []
        return [each for each in patterns if each.influence is not None and each.influence > limit]
