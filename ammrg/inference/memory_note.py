"""The note that tells a user which of the recalled cases bear on the report, if any do."""

from __future__ import annotations

from typing import Any, NamedTuple

from ammrg.reasons import PERCENTILE, InfluenceThresholds
from ammrg.text.shown_places import shown_place
from ammrg.types import Attribution, GeneratedReport

UNKNOWN = (
    "Whether the recalled cases bear on this report is not known: the influence of random cases was not measured. Runs "
    "and exports of earlier versions lack it; make reports measures it."
)
REGIONS, REPORTS = 6, 3
"""Most recalled regions and reports that are shown."""


class RecalledCase(NamedTuple):
    """A recalled pattern that is shown with a report."""

    pattern: Attribution
    query: str | None
    """The finding whose query recalled it; None for a report, or where all queries together did."""

    def line(self) -> str:
        """Describe it in a line: weight, what it is, whose, its influence where that was measured, and its words."""
        case = self.pattern
        owner = self.owner() if case.influence is None else f"{self.owner()}, influence {case.influence:+z.2f}"
        if case.finding is None:
            return f"{case.weight:.2f} report of {owner}: {case.text or '(left out)'}"
        asked = "region of" if self.query is None else f"for {self.query}:"
        said = f": {case.text}" if case.text else ""
        return f"{case.weight:.2f} {asked} {f'{shown_place(case.place)} {case.finding}'.lstrip()} ({owner}){said}"

    def owner(self) -> str:
        """Name whose it is.

        Without an id, it is a disease query where it has neither place nor text, else a training study of restricted
        data.
        """
        pattern = self.pattern
        if pattern.study_id:
            return pattern.study_id
        return "a training study" if pattern.box or pattern.finding is None else "disease query"


class MemoryNote(NamedTuple):
    """The recalled cases that are shown with a report: reasons, and others that are merely similar."""

    thresholds: InfluenceThresholds | None
    """The influence that a reason exceeds; None = not known."""
    reasons: list[RecalledCase]
    """Those that made the report clearly more likely; its words may be the same without them."""
    similar: list[RecalledCase]
    """The others."""
    sentence: str
    """The meaning in words."""

    def as_json(self) -> dict[str, Any]:
        """Return the part that report.json holds."""
        return {
            "influence_threshold": None if self.thresholds is None else self.thresholds._asdict(),
            "patterns": [{"query": case.query, **case.pattern._asdict()} for case in self.reasons],
            "sentence": self.sentence,
        }


MEMORIES_OFF = MemoryNote(None, [], [], "The memories were switched off for this report: nothing was recalled.")
"""The note of a report that was written without memories."""


def memory_note(report: GeneratedReport, thresholds: InfluenceThresholds | None) -> MemoryNote:
    """Divide the recalled cases into reasons and similar ones.

    Shown are the first region that the query of each present finding recalled (without present findings, the regions
    with the largest weights), and the first reports.

    Args:
        report: with the influence of these cases (:func:`ammrg.networks.influence.with_influence`).
        thresholds: the influence that a reason exceeds; None = not known.
    """
    regions = [RecalledCase(first, finding) for finding, listed in report.recalled.items() for first in listed[:1]]
    regions = (regions or [RecalledCase(region, None) for region in report.regions])[:REGIONS]
    cases = [*regions, *(RecalledCase(each, None) for each in report.reports[:REPORTS])]
    reasons = [case for case in cases if thresholds is not None and _is_reason(case.pattern, thresholds)]
    similar = [case for case in cases if case not in reasons]
    return MemoryNote(thresholds, reasons, similar, _sentence(thresholds, bool(reasons), bool(cases)))


def _is_reason(pattern: Attribution, thresholds: InfluenceThresholds) -> bool:
    return thresholds.exceeded("reports" if pattern.finding is None else "regions", pattern.influence)


def _sentence(thresholds: InfluenceThresholds | None, reasons: bool, recalled: bool) -> str:
    if not recalled:
        return "No recalled case bears on this report: nothing was recalled."
    limits = {} if thresholds is None else {"regions": thresholds.regions, "reports": thresholds.reports}
    known = ", ".join(f"{kind} {limit:.2f} nats" for kind, limit in limits.items() if limit is not None)
    if not known:
        return UNKNOWN
    beyond = f"more influence on its likelihood than {PERCENTILE} in 100 random cases ({known})"
    if reasons:
        return f"Recalled cases bear on this report: the reasons have {beyond}. Its words may be the same without them."
    return f"No recalled case bears on this report: none of them has {beyond}."
