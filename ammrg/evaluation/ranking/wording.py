"""The words and figures of a ranking, the same in all the forms that it is written in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from ammrg.evaluation.ranking.ranked import FEWEST_STUDIES, METRICS, Group
from ammrg.evaluation.ranking.submissions import MISSING, Difference
from ammrg.evaluation.score_notes import patients_in_words
from ammrg.evaluation.verdicts import called, short, signed
from ammrg.metrics.bootstrap import FEW_PATIENTS, FEWEST_PATIENTS
from ammrg.metrics.ranks import Between, Standing


class Cell(NamedTuple):
    """One system in one metric."""

    value: str
    mark: str
    """``best``, ``close`` or empty."""
    interval: str
    """Empty without resamples."""
    rank: str
    """The expected rank and its interval; empty where systems are not ranked."""
    below: str
    """The difference from the best and its interval; empty for the best and where systems are not ranked."""


class Row(NamedTuple):
    """One row of a table."""

    label: str
    cells: list[Cell]


class Table(NamedTuple):
    """One table of systems."""

    title: str
    columns: list[str]
    rows: list[Row]
    note: str


class Ranking(NamedTuple):
    """All that is written: the table of all studies, those of the groups, and sentences."""

    title: str
    main: Table
    groups: list[Table]
    sentences: list[str]
    """Whether there are few patients, or patients with several sexes."""
    alarms: dict[str, list[str]]
    """:data:`ALL` or a system -> its alarms: those on its texts first."""


ALL = "all systems"
"""In place of a system's name, where an alarm is the same for all."""
SHOWN = 12
"""Digits of a fingerprint in the caption."""
EMPTY = Cell("–", "", "", "", "")


def cell(at: Standing | None, *, marked: bool, whole: bool = True) -> Cell:
    """A cell of a standing; without its mark if not ``marked``, without rank and difference if not ``whole``."""
    if at is None:
        return EMPTY
    mark = "" if not marked else "best" if at.best else "close" if at.close else ""
    rank = f"{at.expected_rank:.1f} {_ranks(at.rank_interval)}" if at.rank_interval and whole else ""
    below = f"{signed(at.below)} {_between(at.below_interval, signed)}" if not at.best and whole else ""
    return Cell(short(at.value), mark, _between(at.interval, short), rank, below.strip())


def _between(interval: Between | None, form: Any) -> str:
    return "" if interval is None else f"[{form(interval[0])}, {form(interval[1])}]"


def _ranks(interval: Between | None) -> str:
    return _between(interval, lambda rank: f"{rank:.1f}".removesuffix(".0"))


def _marked(name: str, warned: Collection[str]) -> str:
    return f"{name}‡" if name in warned else name


def _warning(warned: Mapping[str, Sequence[str]]) -> str:
    """What the mark at a name means, with the headings of each system's alarms; empty if there are none."""
    if not warned:
        return ""
    headings = "; ".join(f"{name}: {', '.join(each)}" for name, each in warned.items())
    return f" ‡: alarms on the texts ({headings})."


def main_table(
    group: Group,
    baselines: Mapping[str, Mapping[str, Any]],
    note: str,
    warned: Mapping[str, Sequence[str]],
) -> Table:
    """The table of all studies.

    Args:
        group: the systems.
        baselines: name -> metric -> {value, low, high}.
        note: its caption.
        warned: system -> the headings of the alarms on its texts.
    """
    keys = list(next(iter(group.standings.values())))
    keys = [key for key in METRICS if key in keys or any(row.get(key) for row in baselines.values())]
    rows = [
        Row(_marked(name, warned), [cell(at.get(key), marked=group.enough) for key in keys])
        for name, at in group.standings.items()
    ]
    rows += [Row(f"({called(name)})", [_plain(scores.get(key)) for key in keys]) for name, scores in baselines.items()]
    note += " In brackets: baselines, which are not ranked." if baselines else ""
    note += _warning(warned)
    return Table("Ranking", [METRICS[key] for key in keys], rows, note)


def _plain(scores: Mapping[str, float | None] | None) -> Cell:
    if scores is None or scores["value"] is None:
        return EMPTY
    low, high = scores["low"], scores["high"]
    return Cell(short(scores["value"]), "", "" if low is None or high is None else _between((low, high), short), "", "")


def group_tables(groups: Sequence[Group], warned: Mapping[str, Sequence[str]]) -> list[Table]:
    """One table for each column: a row for each group and system, and one for a group that is too small."""
    tables = []
    for column in dict.fromkeys(group.column for group in groups):
        own = [group for group in groups if group.column == column]
        known = {key for group in own for at in group.standings.values() for key in at}
        keys = [key for key in METRICS if key in known]
        rows = []
        for group in own:
            patients = "" if group.patients is None else f", {patients_in_words(group.patients)}"
            label = f"{group.value} (n = {group.studies}{patients})"
            rows += [
                Row(
                    f"{label}: {_marked(name, warned)}",
                    [cell(at.get(key), marked=group.enough, whole=False) for key in keys],
                )
                for name, at in group.standings.items()
            ] or [Row(f"{label}: too few to score", [EMPTY for _ in keys])]
        note = (
            "Without ranks and baselines, which stand in the table of all studies. "
            f"A group of fewer than {FEWEST_STUDIES} studies is not scored. CIDEr uses the idf of all references. Many "
            f"groups are compared at once, so some differences are due to chance.{_warning(warned)}"
        )
        few = [each.value for each in own if each.standings and (each.patients or each.studies) < FEW_PATIENTS]
        if few:
            note += (
                f" Fewer than {FEW_PATIENTS} patients, so intervals are narrower than they should be: {', '.join(few)}."
            )
        tables.append(Table(f"By {column}", [METRICS[key] for key in keys], rows, note))
    return tables


def _ids_in_words(difference: Difference) -> str:
    """``B lacks 2 and has 1 more``."""
    lacks = f"lacks {len(difference.missing)}" if difference.missing else ""
    has = f"has {len(difference.surplus)} more" if difference.surplus else ""
    return f"{difference.name} {' and '.join(filter(None, (lacks, has)))}"


def caption(group: Group, metas: Mapping[str, Mapping[str, Any]], differences: Sequence[Difference]) -> str:
    """What the table's figures are, and what each file lacks.

    Args:
        group: of all studies.
        metas: system -> ``meta`` of its scores file.
        differences: what each file lacks.
    """
    ids = "; ".join(_ids_in_words(each) for each in differences if each.missing or each.surplus)
    common = f"which all files have ({ids}: {MISSING})" if ids else "the same in all files"
    meta = next(iter(metas.values()))
    resamples = meta["bootstrap"]["resamples"]
    drawn = bool(resamples) and any(at.interval for system in group.standings.values() for at in system.values())
    how = (
        f"95% intervals of {resamples} resamples of patients (seed {meta['bootstrap']['seed']}), "
        "the same for all systems. †: not clearly below the best, because the 95% interval of the paired difference "
        "reaches 0. Rank: the expected one over the resamples; below it the difference from the best."
        if drawn
        else f"No intervals, because {'there are too few patients' if resamples else 'no resamples are drawn'}."
    )
    best = (
        "Bold: the best."
        if group.enough
        else f"No best is marked: that needs {FEWEST_STUDIES} studies of {FEWEST_PATIENTS} patients."
    )
    order = f"Each metric has ranks of its own; the rows are in the order of {METRICS[group.sort]}."
    patients = (
        f"of {patients_in_words(group.patients)}"
        if group.patients is not None
        else "whose patients are not given, so that each counts as one of its own"
    )
    inputs = ", ".join(f"{name} {each['inputs'][:SHOWN]}" for name, each in metas.items())
    return (
        f"{group.studies} studies {patients}, {common}. Protocol {next(iter(meta['protocols']))}; "
        f"findings read by {meta['labeler']}; {'with' if meta['meteor'] == 'present' else 'without'} METEOR. "
        f"{order} {best} {how} ammrg {meta['versions']['ammrg']}; fingerprints of inputs: {inputs}."
    )
