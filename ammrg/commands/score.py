"""Score the reports of any system: scores.json, tables and report.html, with intervals and baselines.

Several files are ranked in one table: ranking.md, .csv, .tex and .html in a folder, with the ids that each file lacks.

It needs only predictions files: no GPU, and by default no PyTorch. METEOR is added if Java is installed.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ammrg.atomic import write_json
from ammrg.commands import ranking
from ammrg.commands.parser import CommandParser
from ammrg.commands.score_output import DEFAULT, check_scores_file, files_read, page_beside
from ammrg.errors import ScoringError
from ammrg.evaluation import predictions
from ammrg.evaluation.column_names import parse_columns
from ammrg.evaluation.page.writing import NO_FILMS, FilmsOf, cases, write_page
from ammrg.evaluation.prediction_files import LAYOUTS, is_rexrank
from ammrg.evaluation.ranking.ranked import METRICS
from ammrg.evaluation.recalled import read_recalled
from ammrg.evaluation.reports_meta import named_beside
from ammrg.evaluation.score_table import print_scores
from ammrg.evaluation.scored_file import (
    chosen_dataset,
    chosen_extras,
    chosen_labeler,
    default_protocols,
    kept_against,
    kept_scores,
)
from ammrg.evaluation.scoring import score_systems
from ammrg.metrics import bootstrap
from ammrg.metrics.protocols import CUT_FOR, PROTOCOLS, SCORED
from ammrg.notice import NOTICE


def parser(program: str) -> argparse.ArgumentParser:
    """The parser of the command's arguments."""
    words = CommandParser(prog=program, description=f"{__doc__} {NOTICE}")
    layouts = ", ".join(LAYOUTS)
    words.add_argument(
        "reports",
        nargs="+",
        type=Path,
        help=f"predictions file: {layouts} (reports.jsonl, a table, ReXrank's, or {{id: text}}); several are ranked",
    )
    words.add_argument("--names", help="names of several systems, with commas; default: their files'")
    words.add_argument("--columns", help="other names of columns: id=study,text=prediction,reference=...,patient=...")
    words.add_argument("--by", help="also rank within groups: columns of the references or the first file, with commas")
    words.add_argument("--sort", choices=METRICS, help="metric that orders the rows; default: the first of these")
    words.add_argument(
        "--allow-missing", action="store_true", help="rank on the studies that all files have, if some lack any"
    )
    words.add_argument(
        "--against", nargs="+", type=Path, default=[], help="predictions files of other systems, to compare"
    )
    words.add_argument("--references", type=Path, help="file with the references, if the predictions have none")
    words.add_argument(
        "--protocol",
        nargs="+",
        default=[],
        choices=PROTOCOLS,
        help="how texts are cleaned and cut; default: full, and r2gen if the data set is known",
    )
    words.add_argument(
        "--dataset",
        choices=CUT_FOR,
        help="data set whose cleaner and cut r2gen and r2gengpt use; default: as reports.meta.json says",
    )
    words.add_argument(
        "--train-texts",
        type=Path,
        help="training reports, for r2gen's vocabulary and the baselines of several files: .txt, one a line, or "
        f"{layouts} with a field report",
    )
    words.add_argument("--tokenizer", type=Path, help="a language model's folder or tokenizer.json, for r2gengpt")
    words.add_argument("--chexbert", help="label with CheXbert: a folder with its weights, or a hub id")
    words.add_argument("--bertscore", help="also BERTScore, with the encoder in this folder (or hub id)")
    words.add_argument("--bertscore-layer", type=int, help="encoder layer that BERTScore compares; default: the last")
    words.add_argument(
        "--radeval", nargs="+", default=[], metavar="NAME", help="also radeval's radgraph, radcliq, green"
    )
    words.add_argument("--radeval-python", type=Path, help="the python of an environment that has radeval")
    words.add_argument(
        "--out",
        type=Path,
        help="of one file of reports: the scores file, default scores.json beside it; the page goes beside the scores "
        "(report.html, or NAME.html beside NAME.json), and scores of another file are not overwritten. Of several: a "
        "folder, default ranking beside the first; an earlier ranking in it is replaced",
    )
    words.add_argument(
        "--bootstrap",
        type=int,
        default=bootstrap.RESAMPLES,
        help="number of resamples, 0 for no intervals; default %(default)s",
    )
    words.add_argument("--seed", type=int, default=0, help="seed of the resamples; default %(default)s")
    words.add_argument("--no-meteor", action="store_true", help="leave METEOR out, even if Java is installed")
    words.add_argument("--no-page", action="store_true", help="write no report.html")
    words.add_argument("--no-films", action="store_true", help="report.html without films and maps")
    words.add_argument("--quiet", action="store_true", help="write the files, print nothing")
    words.add_argument(
        "--show", action="store_true", help="print the scores in --out if they are up to date, else score"
    )
    return words


def main(argv: Sequence[str], films_of: FilmsOf | None = None, program: str = "ammrg score") -> int:
    """Run ``ammrg score``: score, write scores.json and report.html, and print the tables.

    Args:
        argv: the words after ``score``.
        films_of: gives the page the films of a run folder's studies; None: the page has no films.
        program: the command's name in ``--help``.

    Returns:
        0.

    Raises:
        ScoringError: if a file cannot be scored.
    """
    options = parser(program).parse_args(argv)
    bootstrap.check_resamples("--bootstrap", options.bootstrap)
    ranking.check_options(options)
    if len(options.reports) > 1:
        return ranking.rank(options)
    (reports,) = options.reports
    out = options.out or reports.parent / DEFAULT
    rexrank = [out.with_name("rexrank.json")] if "rexrank" in options.protocol else []
    check_scores_file(out, reports, files_read(options), rexrank)
    columns = parse_columns(options.columns or "")
    references = predictions.read_references(options.references, columns) if options.references else None
    against = options.against or (kept_against(out) if options.show else [])
    systems = predictions.read_systems(reports, against, references, columns)
    if rexrank and is_rexrank(reports):
        raise ScoringError(f"{reports}: already in ReXrank's layout; give it to ReXrank's own tool as it is.")
    for path in rexrank:
        predictions.write_rexrank(path, systems[0].lines, named_beside(reports, "split"))
    train_texts = predictions.read_train_texts(options.train_texts, columns) if options.train_texts else None
    dataset, dataset_from = chosen_dataset(options, reports)
    settings = {
        "protocols": [name for name in SCORED if name in options.protocol] or default_protocols(dataset),
        "dataset": dataset,
        "dataset_from": dataset_from,
        "recalled": read_recalled(reports, [line.study_id for line in systems[0].lines]),
        "labeler": chosen_labeler(options.chexbert),
        "extras": chosen_extras(options),
        "resamples": options.bootstrap,
        "seed": options.seed,
        "with_meteor": not options.no_meteor,
    }
    scores = kept_scores(out, systems, settings, train_texts, options.tokenizer) if options.show else None
    if scores is None:
        scores = score_systems(systems, train_texts=train_texts, tokenizer=options.tokenizer, **settings)
        if against:
            scores["meta"]["against"] = [os.path.relpath(path, out.parent) for path in against]
        write_json(out, scores)
    page = page_beside(out)
    if not options.no_page and not (options.show and page.is_file() and page.stat().st_mtime >= out.stat().st_mtime):
        films = NO_FILMS if options.no_films or films_of is None else films_of(reports.parent, cases(scores))
        write_page(page, reports, systems[0].lines, scores, films, columns)
    if not options.quiet:
        console = Console()
        # In a pipe or a narrow window the columns would break.
        console.width = max(console.width, 150)
        print_scores(scores, console)
        case = reports.parent / "case.png"
        for name, path in (("reports", reports), ("scores", out), ("page", page), ("one case", case)):
            if path.is_file():
                console.print(f"{name}: {path}", highlight=False, markup=False, soft_wrap=True)
    return 0
