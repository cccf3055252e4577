"""Reports with every side wrong: who notices? ``python -m benchmarks.swapped_sides [FILE] [--quick]``.

The references of the phantom's test split (or of a predictions file) stand in for generated reports: as they are, with
left and right swapped in every second study, and with left and right swapped in all. Everything else in them stays.
Prints clinical F1, CIDEr and the measures of location of each, then one JSON line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ammrg.commands.parser import CommandParser
from ammrg.evaluation.figures import formatted
from ammrg.evaluation.predictions import Line, System, read_lines
from ammrg.evaluation.scoring import score_systems
from ammrg.metrics.location import CHANCE, KEYS
from datamodules.sources.phantom.plan import plan_study
from datamodules.sources.phantom.sentences import write_report

STUDIES, RESAMPLES = 240, 1000
COLUMNS = {
    "clinical_micro_f1_13_neg": "micro F1 13",
    "clinical_macro_f1_14_neg": "macro F1 14",
    "cider": "CIDEr",
    "location_side_agreement": "side agreement",
    f"location_side_agreement{CHANCE}": "chance",
    "location_side_f1": "side F1",
    f"location_side_f1{CHANCE}": "chance",
    "location_level_f1": "level F1",
}
_SIDE = re.compile(r"\b(left|right)", re.IGNORECASE)
_OTHER = {"left": "right", "right": "left"}


def swapped(text: str) -> str:
    """The text with "left" for "right" and "right" for "left", in upper case where it was."""

    def other(found: re.Match[str]) -> str:
        word = _OTHER[found.group().lower()]
        return word.upper() if found.group().isupper() else word.title() if found.group()[0].isupper() else word

    return _SIDE.sub(other, text)


def phantom(count: int) -> list[Line]:
    """The first ``count`` studies of the phantom's test split, each with its reference as its report."""
    plans = [plan_study("test", number) for number in range(count)]
    texts = [write_report(plan).findings for plan in plans]
    return [Line(plan.study_id, plan.subject_id, text, text) for plan, text in zip(plans, texts, strict=True)]


def systems(lines: Sequence[Line]) -> dict[str, list[Line]]:
    """The references as reports: as they are, half of them swapped, all of them swapped."""
    return {
        "as written": [line._replace(generated=line.reference) for line in lines],
        "sides swapped in every second study": [
            line._replace(generated=swapped(line.reference) if i % 2 else line.reference)
            for i, line in enumerate(lines)
        ],
        "all sides swapped": [line._replace(generated=swapped(line.reference)) for line in lines],
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Read the options, score and print."""
    parser = CommandParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, help="predictions file, for its references; default: the phantom")
    parser.add_argument("--studies", type=int, default=STUDIES, help="of the phantom; default %(default)s")
    parser.add_argument("--quick", action="store_true", help="40 studies of the phantom, 50 resamples")
    options = parser.parse_args(argv)
    count, resamples = (40, 50) if options.quick else (options.studies, RESAMPLES)
    lines = read_lines(options.file) if options.file else phantom(count)
    found: dict[str, dict[str, Any]] = {}
    said: dict[str, list[str]] = {}
    for name, rows in systems(lines).items():
        system = System("", "ours", options.file or Path("phantom"), rows)
        scores = score_systems([system], protocols=("full",), resamples=resamples, with_meteor=False)
        found[name] = scores["full"]
        said[name] = [text for text in scores["alarms"] if "NOT CLEARLY ABOVE CHANCE" in text]
    table = Table(title=f"{options.file or 'phantom, test split'}: references of {len(lines)} studies as reports")
    table.add_column("reports")
    for label in COLUMNS.values():
        table.add_column(label, justify="right")
    for name, scores in found.items():
        table.add_row(name, *(formatted(scores[key]) for key in COLUMNS))
    console = Console(width=220)
    console.print(table)
    for name, sentences in said.items():
        for text in sentences:
            console.print(f"{name}: {text}", highlight=False, markup=False)
    cases = {name: {key: scores[key] for key in (*COLUMNS, *KEYS)} for name, scores in found.items()}
    print(json.dumps({"benchmark": "swapped_sides", "studies": len(lines), "cases": cases, "alarms": said}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
