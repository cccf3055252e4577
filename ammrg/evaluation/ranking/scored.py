"""Several files scored and ranked in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ammrg.evaluation.predictions import System
from ammrg.evaluation.ranking.baselines import GROUP, baselines
from ammrg.evaluation.ranking.group_columns import changing_patients
from ammrg.evaluation.ranking.ranked import Group, rank_all, rank_groups
from ammrg.evaluation.ranking.submissions import Difference
from ammrg.evaluation.ranking.wording import ALL, Ranking, caption, group_tables, main_table
from ammrg.evaluation.score_notes import few_patients, few_resamples
from ammrg.evaluation.scoring import ScorerSettings, scored, scorer_of
from ammrg.metrics.guards import ONE_TEXT


class Ranked(NamedTuple):
    """A ranking, and what it was made from."""

    ranking: Ranking
    groups: list[Group]
    """That of all studies first."""
    baselines: dict[str, Any]
    """Name -> metric -> {value, low, high}."""
    scores: dict[str, dict[str, Any]]
    """System -> the contents of its scores file, as of its texts and the baselines alone."""
    warned: dict[str, list[str]]
    """System, or :data:`ALL` -> the headings of the alarms on its texts (``EMPTY REPORTS``)."""


def rank_systems(
    systems: Sequence[System],
    differences: Sequence[Difference],
    cells: Mapping[str, Mapping[str, str]],
    settings: ScorerSettings,
    dataset_from: str,
    sort: str | None = None,
) -> Ranked:
    """Score systems on the same studies with the same resamples, and rank them.

    Args:
        systems: from :func:`ammrg.evaluation.ranking.submissions.read_submissions`.
        differences: from there too, for the caption.
        cells: from :func:`ammrg.evaluation.ranking.group_columns.group_cells`; empty: no groups.
        settings: with one protocol; training reports are also for baselines, without them there are none.
        dataset_from: where the data set's name comes from.
        sort: key of METRICS whose best system is first; None: the first that has ranks.

    Raises:
        ScoringError: if the systems cannot be scored, or ``sort`` has no ranks.
    """
    (protocol,), train_texts = settings.protocols, settings.train_texts
    dataset = (settings.dataset, dataset_from)
    beside = [] if train_texts is None else baselines(systems[0], train_texts, settings.seed)
    with scorer_of([*systems, *beside], settings) as scorer:
        scores = {
            system.name: scored([system._replace(name="ours"), *beside], scorer, dataset, train_texts=train_texts)
            for system in systems
        }
        whole = rank_all(systems, scorer, sort)
        named = {system.name: system for system in systems}
        groups = rank_groups([named[name] for name in whole.standings], scorer, cells)
    first = scores[systems[0].name]
    known = {name: found[protocol] for name, found in first[GROUP].items()}
    shared = set(first["alarms"]).intersection(*(found["alarms"] for found in scores.values()))
    equal = equal_texts(systems)
    of_all = {ALL: [alarm for alarm in first["alarms"] if alarm in shared]}
    alarms = of_all | {
        name: [*equal.get(name, ()), *(alarm for alarm in scores[name]["alarms"] if alarm not in shared)]
        for name in whole.standings
    }
    alarms = {name: in_order(each) for name, each in alarms.items() if each}
    warned = {name: found for name, each in alarms.items() if (found := [*filter(None, map(heading, each))])}
    ranking = Ranking(
        f"{len(systems)} systems on {whole.studies} studies",
        main_table(
            whole, known, caption(whole, {name: found["meta"] for name, found in scores.items()}, differences), warned
        ),
        group_tables(groups, warned),
        [each.text for each in few_patients(first["meta"]) + few_resamples(first["meta"]) if not each.alarm]
        + changing_patients(cells, systems[0].lines),
        alarms,
    )
    return Ranked(ranking, [whole, *groups], known, scores, warned)


def heading(alarm: str) -> str:
    """The capitals with which an alarm on texts begins; empty for one that compares."""
    start = alarm.partition(":")[0]
    return start if start.isupper() else ""


def in_order(alarms: Sequence[str]) -> list[str]:
    """Alarms on texts before comparisons, which are left out where all texts are one: they follow from that."""
    texts = [alarm for alarm in alarms if heading(alarm)]
    return texts if ONE_TEXT in map(heading, texts) else texts + [alarm for alarm in alarms if not heading(alarm)]


def equal_texts(systems: Sequence[System]) -> dict[str, list[str]]:
    """System -> an alarm where all its reports are those of an earlier system, or all the references."""
    found = {}
    known: dict[tuple[str, ...], str] = {tuple(line.reference for line in systems[0].lines): "the references"}
    for system in systems:
        own = f"those of {system.name}"
        other = known.setdefault(tuple(line.generated for line in system.lines), own)
        if other != own:
            found[system.name] = [f"THE SAME TEXTS: its reports are, word for word, {other}."]
    return found
