"""``ammrg score`` with several files: one table of systems with ranks, in a folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from ammrg.atomic import write_atomically
from ammrg.commands.output_folder import output_folder
from ammrg.commands.score_output import check_ranking_folder, clear_ranking, files_read, holds_ranking
from ammrg.errors import ScoringError
from ammrg.evaluation import predictions
from ammrg.evaluation.column_names import parse_columns
from ammrg.evaluation.ranking.group_columns import group_cells
from ammrg.evaluation.ranking.scored import rank_systems
from ammrg.evaluation.ranking.submissions import (
    MISSING,
    NoCommonStudyError,
    check_enough_common,
    check_same_studies,
    chosen_names,
    missing_ids,
    read_submissions,
)
from ammrg.evaluation.ranking.terminal import print_ranking
from ammrg.evaluation.ranking.writing import write_ranking
from ammrg.evaluation.scored_file import chosen_dataset, chosen_extras, chosen_labeler
from ammrg.evaluation.scoring import ScorerSettings

OF_SEVERAL = {"names": "--names", "by": "--by", "sort": "--sort", "allow_missing": "--allow-missing"}
"""Options of several files only."""
OF_ONE = {"against": "--against", "show": "--show", "no_films": "--no-films"}
"""Options of one file only."""


def check_options(options: argparse.Namespace) -> None:
    """Refuse options that do not go with the number of files.

    Raises:
        ScoringError: names the option.
    """
    several = len(options.reports) > 1
    for field, option in (OF_ONE if several else OF_SEVERAL).items():
        if getattr(options, field):
            raise ScoringError(
                f"{option} goes with one file of reports; several files are all compared with the best of them."
                if several
                else f"{option} goes with several files of reports, which are ranked; name two or more."
            )


def rank(options: argparse.Namespace) -> int:
    """Score and rank several files, write the folder, and print the table.

    Raises:
        ScoringError: if the files cannot be ranked.
        SettingsError: if another process writes into the folder.
    """
    if len(options.protocol) > 1 or "rexrank" in options.protocol:
        raise ScoringError("--protocol: several files are ranked under one protocol; give full, r2gen or r2gengpt.")
    folder = options.out or options.reports[0].parent / "ranking"
    check_ranking_folder(folder, files_read(options))
    with output_folder(folder):
        return _rank_into(folder, options)


def _rank_into(folder: Path, options: argparse.Namespace) -> int:
    names = chosen_names(options.reports, options.names)
    columns = parse_columns(options.columns or "")
    try:
        systems, differences = read_submissions(options.reports, names, options.references, columns)
    except NoCommonStudyError as error:
        write_atomically(folder / MISSING, missing_ids(error.differences).encode())
        raise ScoringError(f"{error} All ids are listed in {folder / MISSING}.") from None
    by = [part.strip() for part in (options.by or "").split(",") if part.strip()]
    sources = [options.references, options.reports[0]] if options.references else options.reports[:1]
    cells = group_cells(by, sources, columns, [line.study_id for line in systems[0].lines]) if by else {}
    write_atomically(folder / MISSING, missing_ids(differences).encode())
    if not options.allow_missing:
        check_same_studies(differences, folder / MISSING)
    check_enough_common(differences, len(systems[0].lines))
    dataset, dataset_from = chosen_dataset(options, options.reports[0])
    settings = ScorerSettings(
        protocols=options.protocol or ["full"],
        dataset=dataset,
        train_texts=predictions.read_train_texts(options.train_texts, columns) if options.train_texts else None,
        tokenizer=options.tokenizer,
        labeler=chosen_labeler(options.chexbert),
        extras=chosen_extras(options),
        resamples=options.bootstrap,
        seed=options.seed,
        with_meteor=not options.no_meteor,
    )
    found = rank_systems(systems, differences, cells, settings, dataset_from, options.sort)
    # only now, so that an earlier ranking outlives a call that fails
    replaces = holds_ranking(folder)
    clear_ranking(folder)
    paths = write_ranking(folder, *found, with_page=not options.no_page)
    if not options.quiet:
        console = Console()
        # In a pipe or a narrow window the columns would break.
        console.width = max(console.width, 150)
        print_ranking(found.ranking, console)
        if replaces:
            console.print(f"{folder}: replaces an earlier ranking", highlight=False, markup=False, soft_wrap=True)
        for path in (*paths, folder / MISSING, folder / "scores"):
            console.print(str(path), highlight=False, markup=False, soft_wrap=True)
    return 0
