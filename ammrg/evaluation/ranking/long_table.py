"""A ranking as one long table, for other programs: ``ranking.csv``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ammrg.evaluation.ranking.csv_text import csv_text
from ammrg.evaluation.ranking.ranked import METRICS, Group
from ammrg.evaluation.ranking.wording import ALL

HEADER = (
    *("column", "group", "studies", "patients", "system", "baseline", "metric", "value", "low", "high", "mark", "rank"),
    *("expected_rank", "rank_low", "rank_high", "below_best", "below_low", "below_high", "alarms"),
)


def long_table(
    groups: Sequence[Group], baselines: Mapping[str, Mapping[str, Any]], warned: Mapping[str, Sequence[str]]
) -> str:
    """One line for each group, system and metric; a group that is too small has one line without scores.

    Args:
        groups: that of all studies (column and group are empty), then the others.
        baselines: name -> metric -> {value, low, high}, on all studies; they are not ranked.
        warned: system, or all -> the headings of the alarms on its texts.
    """
    rows: list[tuple[object, ...]] = []
    for group in groups:
        start = (group.column, group.value, group.studies, group.patients)
        if not group.standings:
            rows.append((*start, *[None] * (len(HEADER) - len(start))))
        for name, at in group.standings.items():
            alarms = ", ".join([*warned.get(ALL, ()), *warned.get(name, ())])
            for key, found in at.items():
                value, interval, rank, best, close, expected, ranked, below, reach = found
                mark = None if not group.enough else "best" if best else "not clearly below" if close else None
                pairs = [each or (None, None) for each in (interval, ranked, reach)]
                figures = (value, *pairs[0], mark, rank, expected, *pairs[1], below, *pairs[2])
                rows.append((*start, name, "no", key, *figures, alarms))
    whole = groups[0]
    for name, scores in baselines.items():
        for key in METRICS:
            if key in scores:
                between = [scores[key][part] for part in ("value", "low", "high")]
                start = ("", "", whole.studies, whole.patients)
                rows.append((*start, name, "yes", key, *between, *[None] * 9))
    return csv_text(HEADER, rows)
