"""``python -m experiments score reports.jsonl``: scores.json, tables and report.html, with baselines and intervals.

Made from predictions files alone, of any system: no GPU, no Lightning; Java only adds METEOR.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from ammrg import __version__
from ammrg.errors import ScoringError
from ammrg.metrics import bootstrap
from ammrg.metrics.meteor import MeteorScorer
from ammrg.metrics.protocols import CUT_FOR, DEFAULT, PROTOCOLS, SCORED, protocol
from ammrg.text.labelers import Labeler, rule_based
from experiments import outside_metrics, predictions
from experiments.command_parser import CommandParser
from experiments.manifest import write_json
from experiments.page.films import films_of_run
from experiments.page.writing import NO_FILMS, cases, write_page
from experiments.score_table import NOTICE, print_scores
from experiments.scoring import META, Extra, dataset_of, fingerprint, score_systems


def score(reports_jsonl: Path, *, dataset: str | None = None, **settings: Any) -> dict[str, Any]:
    """Score a predictions file, and ``baselines/*.jsonl`` and ``guards/*.jsonl`` beside it.

    Args:
        reports_jsonl: the file.
        dataset: None reads it from ``reports.meta.json``.
        settings: of :func:`experiments.scoring.score_systems`; protocols: else as known.

    Raises:
        ScoringError: a file that cannot be scored as it stands.
    """
    reports = Path(reports_jsonl)
    whose, whence = chosen_dataset(dataset, reports)
    chosen = {"protocols": default_protocols(whose), **settings}
    return score_systems(predictions.read_systems(reports), dataset=whose, dataset_from=whence, **chosen)


def chosen_dataset(named: str | None, reports: Path) -> tuple[str | None, str | None]:
    """The data set whose cleaner and cut are taken, and who says so."""
    if named is not None:
        return named, "as --dataset says"
    return dataset_of(reports), f"as {META} says"


def default_protocols(dataset: str | None) -> list[str]:
    """What is scored unless asked otherwise: R2Gen's view only where it is known whose."""
    return [name for name in DEFAULT if name == "full" or dataset in CUT_FOR]


def _still_true(
    out: Path,
    systems: Sequence[predictions.System],
    settings: dict[str, Any],
    train_texts: Sequence[str] | None,
    tokenizer: Path | None,
) -> Any:
    """The kept scores if they are whole and were made from these very inputs and settings, else None."""
    try:
        kept = json.loads(out.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(kept, dict) or "alarms" not in kept:
        return None
    meta = kept.get("meta", {})
    read = (protocol(name, settings["dataset"], train_texts, tokenizer) for name in settings["protocols"])
    same = (
        meta.get("inputs") == fingerprint(systems, train_texts)
        and meta.get("protocols") == {each.name: each.settings for each in read}
        and meta.get("bootstrap", {}).get("resamples") == settings["resamples"]
        and meta.get("bootstrap", {}).get("seed") == settings["seed"]
        and meta.get("dataset") == settings["dataset"]
        and meta.get("dataset_from") == settings["dataset_from"]
        and meta.get("labeler") == settings["labeler"].name
        and meta.get("extras") == [extra.name for extra in settings["extras"]]
        and (meta.get("meteor") == "present") == (settings["with_meteor"] and MeteorScorer.available())
        and meta.get("versions", {}).get("ammrg") == __version__
    )
    return kept if same else None


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    words = CommandParser(prog="python -m experiments score", description=f"{__doc__} {NOTICE}")
    layouts = ", ".join(predictions.LAYOUTS)
    words.add_argument("reports", type=Path, help=f"predictions: {layouts} (reports.jsonl, a table, or ReXrank's)")
    words.add_argument("--against", nargs="+", type=Path, default=[], help="other systems' files, compared in pairs")
    words.add_argument("--references", type=Path, help="references, where the predictions hold generated texts alone")
    words.add_argument(
        "--protocol",
        nargs="+",
        default=[],
        choices=PROTOCOLS,
        help="default: full, and r2gen where the data set is known",
    )
    words.add_argument(
        "--dataset",
        choices=CUT_FOR,
        help="whose cleaner and cut r2gen and r2gengpt take; default: as reports.meta.json",
    )
    words.add_argument("--train-texts", type=Path, help="training reports, for r2gen's vocabulary (.jsonl or plain)")
    words.add_argument("--tokenizer", type=Path, help="a language model's folder or tokenizer.json, for r2gengpt")
    words.add_argument("--chexbert", help="label with CheXbert: a folder with its weights, or a hub id")
    words.add_argument("--bertscore", help="also BERTScore, by the encoder in this folder (or hub id)")
    words.add_argument("--bertscore-layer", type=int, help="whose states BERTScore compares; default: the last")
    words.add_argument("--radeval", nargs="+", default=[], metavar="NAME", help="also radgraph, radcliq, green")
    words.add_argument("--radeval-python", type=Path, help="the python of an environment that holds radeval")
    words.add_argument("--out", type=Path, help="default: scores.json beside the reports")
    words.add_argument("--bootstrap", type=int, default=bootstrap.RESAMPLES, help="resamples; default %(default)s")
    words.add_argument("--seed", type=int, default=0, help="of the resamples; default %(default)s")
    words.add_argument("--no-meteor", action="store_true", help="leave METEOR out even where Java is")
    words.add_argument("--no-page", action="store_true", help="write no report.html")
    words.add_argument("--no-films", action="store_true", help="report.html without films and maps")
    words.add_argument("--quiet", action="store_true", help="write the files, print nothing")
    words.add_argument("--show", action="store_true", help="print kept scores where they still hold, else score anew")
    return words


def main(argv: Sequence[str]) -> int:
    """Score, write scores.json and report.html, print.

    Returns:
        0.

    Raises:
        ScoringError: a file that cannot be scored as it stands.
    """
    options = parser().parse_args(argv)
    if options.bootstrap < 0:
        raise ScoringError(f"--bootstrap={options.bootstrap}: give 0 or more resamples.")
    reports = options.reports
    out = options.out or reports.parent / "scores.json"
    references = predictions.read_references(options.references) if options.references else None
    systems = predictions.read_systems(reports, options.against, references)
    if "rexrank" in options.protocol:
        if reports.suffix == ".json":
            raise ScoringError(f"{reports}: in ReXrank's layout already; give it to ReXrank's own tool as it is.")
        predictions.write_rexrank(out.with_name("rexrank.json"), systems[0].lines, _split_of(reports))
    train_texts = predictions.read_train_texts(options.train_texts) if options.train_texts else None
    dataset, dataset_from = chosen_dataset(options.dataset, reports)
    settings = {
        "protocols": [name for name in SCORED if name in options.protocol] or default_protocols(dataset),
        "dataset": dataset,
        "dataset_from": dataset_from,
        "labeler": chosen_labeler(options.chexbert),
        "extras": chosen_extras(options),
        "resamples": options.bootstrap,
        "seed": options.seed,
        "with_meteor": not options.no_meteor,
    }
    scores = _still_true(out, systems, settings, train_texts, options.tokenizer) if options.show else None
    if scores is None:
        scores = score_systems(systems, train_texts=train_texts, tokenizer=options.tokenizer, **settings)
        write_json(out, scores)
    page = out.with_name("report.html")
    if not options.no_page and not (options.show and page.is_file() and page.stat().st_mtime >= out.stat().st_mtime):
        films = NO_FILMS if options.no_films else films_of_run(reports.parent, cases(scores))
        write_page(page, reports, systems[0].lines, scores, films)
    if not options.quiet:
        console = Console()
        # A pipe or a narrow window would break the columns; the table has one width.
        console.width = max(console.width, 150)
        print_scores(scores, console)
        case = reports.parent / "case.png"
        for name, path in (("reports", reports), ("scores", out), ("page", page), ("one case", case)):
            if path.is_file():
                console.print(f"{name}: {path}", highlight=False, markup=False, soft_wrap=True)
    return 0


def _split_of(reports: Path) -> str | None:
    path = reports.parent / META
    split = json.loads(path.read_text(encoding="utf-8")).get("split") if path.is_file() else None
    return None if split is None else str(split)


def chosen_labeler(chexbert: str | None) -> Labeler:
    """The rule-based labeler, or CheXbert from a folder or the hub."""
    if chexbert is None:
        return rule_based()
    from ammrg.networks.chexbert import load_chexbert  # PyTorch and transformers take seconds to import

    return load_chexbert(chexbert)


def chosen_extras(options: argparse.Namespace) -> list[Extra]:
    """The metrics from outside that were asked for; none is imported unless it is.

    Raises:
        ScoringError: radeval's metrics without its python, or an encoder that is not there.
    """
    extras = []
    if options.bertscore:
        from ammrg.metrics.bert_score import BertScorer  # PyTorch and transformers take seconds to import

        scorer = BertScorer(options.bertscore, options.bertscore_layer)
        extras.append(Extra(scorer.name, scorer.per_study))
    if options.radeval:
        if options.radeval_python is None:
            raise ScoringError(
                f"--radeval: name the python of an environment that holds it. {outside_metrics.INSTALL}."
            )
        names = ", ".join(options.radeval)
        extras.append(
            Extra(f"radeval ({names})", partial(outside_metrics.per_study, options.radeval_python, options.radeval))
        )
    return extras
