"""Several files scored and ranked in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ammrg.evaluation.predictions import System
from ammrg.evaluation.ranking.baselines import GROUP, baselines
from ammrg.evaluation.ranking.ranked import Group, rank_all, rank_groups
from ammrg.evaluation.ranking.submissions import Difference
from ammrg.evaluation.ranking.wording import Ranking, caption, group_tables, main_table
from ammrg.evaluation.scorer import Extra
from ammrg.evaluation.scoring import scored, scorer_of
from ammrg.text.labelers import Labeler


class Ranked(NamedTuple):
    """A ranking, and what it was made from."""

    ranking: Ranking
    groups: list[Group]
    """That of all studies first."""
    baselines: dict[str, Any]
    """Name -> metric -> {value, low, high}."""
    scores: dict[str, dict[str, Any]]
    """System -> the contents of its scores file, as of its texts and the baselines alone."""


def rank_systems(
    systems: Sequence[System],
    differences: Sequence[Difference],
    cells: Mapping[str, Mapping[str, str]],
    *,
    protocol: str,
    dataset: tuple[str | None, str],
    train_texts: Sequence[str] | None,
    tokenizer: Path | None,
    labeler: Labeler | None,
    extras: Sequence[Extra],
    resamples: int,
    seed: int,
    with_meteor: bool,
) -> Ranked:
    """Score systems on the same studies with the same resamples, and rank them.

    Args:
        systems: from :func:`ammrg.evaluation.ranking.submissions.read_submissions`.
        differences: from there too, for the caption.
        cells: from :func:`ammrg.evaluation.ranking.group_columns.group_cells`; empty: no groups.
        protocol: of the word metrics.
        dataset: the data set's name, and where it comes from.
        train_texts: training reports, for baselines and ``r2gen``'s vocabulary; None: no baselines.
        tokenizer: for ``r2gengpt``.
        labeler: labels the findings; None: the rule-based labeler.
        extras: metrics of other packages, for the scores of each system.
        resamples: of patients, 0 or more.
        seed: of the resamples and the random baseline.
        with_meteor: also METEOR, if there is a ``java`` command.

    Raises:
        ScoringError: if the systems cannot be scored.
    """
    beside = [] if train_texts is None else baselines(systems[0], train_texts, seed)
    with scorer_of(
        [*systems, *beside],
        protocols=[protocol],
        dataset=dataset[0],
        train_texts=train_texts,
        tokenizer=tokenizer,
        labeler=labeler,
        extras=extras,
        resamples=resamples,
        seed=seed,
        with_meteor=with_meteor,
    ) as scorer:
        scores = {
            system.name: scored([system._replace(name="ours"), *beside], scorer, dataset, train_texts=train_texts)
            for system in systems
        }
        whole = rank_all(systems, scorer)
        groups = rank_groups(systems, scorer, cells)
    first = scores[systems[0].name]
    known = {name: found[protocol] for name, found in first[GROUP].items()}
    ranking = Ranking(
        f"{len(systems)} systems on {whole.studies} studies",
        main_table(whole, known, caption(whole, first["meta"], differences)),
        group_tables(groups),
        [f"{name}: {alarm}" for name in whole.standings for alarm in scores[name]["alarms"]],
    )
    return Ranked(ranking, [whole, *groups], known, scores)
