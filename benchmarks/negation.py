"""Compares the labeler's negation with maintained libraries: ``python -m benchmarks.negation RAW --negspacy PYTHON``.

The mentions that the labeler finds in IU X-Ray's findings sections are classified by negspacy (NegEx, clinical terms)
and by medspacy (ConText: negated, uncertain). Each has its defaults and its own environment, given by its python
(``pip install negspacy==1.1.0``, ``pip install medspacy==1.3.1``). Everything else stays the labeler's: what counts as
a mention, sentences about organs and about signs that only hint at a finding, and how mentions become labels. The
result is micro F1 of positive, uncertain and negative mentions of the 13 abnormal findings against the CheXpert
labeler's labels, on studies on which no phrase was tuned. Prints a table, then one JSON line.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ammrg.commands.parser import CommandParser
from ammrg.errors import SettingsError
from ammrg.findings import NEGATIVE, POSITIVE, UNCERTAIN
from ammrg.text.labeler import Mention, labels_of, mentions, names_abnormality
from benchmarks.labeler import RAW, agreement, read

SCRIPT = Path(__file__).with_name("_negation_script.py")
LABELS = {"affirmed": POSITIVE, "negated": NEGATIVE, "uncertain": UNCERTAIN}
KINDS = {"positive": POSITIVE, "uncertain": UNCERTAIN, "negative": NEGATIVE}


def answers(python: Path, library: str, asked: Sequence[Mention]) -> list[float]:
    """A library's label of each mention."""
    spans = [[mention.sentence, mention.start, mention.start + len(mention.phrase)] for mention in asked]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [str(python.absolute()), "-P", str(SCRIPT), library],
        input=json.dumps(spans),
        capture_output=True,
        text=True,
        env=environment,
    )
    if done.returncode != 0:
        raise SettingsError(f"{library} failed in {python}: {done.stderr.strip().splitlines()[-1]}")
    return [LABELS[word] for word in json.loads(done.stdout.splitlines()[-1])]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = CommandParser(description=__doc__.splitlines()[0])
    parser.add_argument("raw", nargs="?", type=Path, default=RAW, help="the IU X-Ray folder (default: %(default)s)")
    parser.add_argument("--negspacy", type=Path, metavar="PYTHON")
    parser.add_argument("--medspacy", type=Path, metavar="PYTHON")
    options = parser.parse_args(argv)
    studies = [study for study in read(options.raw) if study.part != "train"]
    reference = np.array([study.labels for study in studies])
    found = [mentions(study.text) for study in studies]
    asked = [mention for report in found for mention in report if names_abnormality(mention)]

    libraries: dict[str, tuple[list[float], float]] = {"ours": ([mention.label for mention in asked], 0.0)}
    for library, python in (("negspacy", options.negspacy), ("medspacy", options.medspacy)):
        if python is None:
            Console().print(f"left out: {library} needs --{library} PYTHON")
            continue
        start = time.perf_counter()
        said = answers(python, library, asked)
        libraries[library] = said, time.perf_counter() - start

    table = Table(title=f"{len(studies)} studies, {len(asked)} mentions read")
    table.add_column("negation by")
    for kind in KINDS:
        table.add_column(f"{kind}\nP / R / F1", justify="right")
    table.add_column("differs from ours", justify="right")
    cases = []
    ours = libraries["ours"][0]
    for library, (said, seconds) in libraries.items():
        read_so = iter(said)
        labels = np.array(
            [
                labels_of((each.finding, next(read_so) if names_abnormality(each) else each.label) for each in report)
                for report in found
            ]
        )
        scores = {kind: agreement(reference, labels, value)["micro 13"] for kind, value in KINDS.items()}
        differs = sum(a != b for a, b in zip(said, ours, strict=True))
        cells = [" / ".join(f"{part:.3f}" for part in row[:3]) for row in scores.values()]
        table.add_row(library, *cells, f"{differs:,}")
        cases.append(
            {"negation": library, "seconds": seconds, "differs": differs}
            | {f"{kind}_f1": row[2] for kind, row in scores.items()}
        )
    Console(width=120).print(table)
    best = max(case["positive_f1"] for case in cases[1:]) if len(cases) > 1 else 0.0
    mine = cases[0]["positive_f1"]
    print(
        json.dumps(
            {
                "benchmark": "negation",
                "cases": cases,
                "targets": {
                    "positive F1, ours minus the best library": {"value": mine - best, "target": 0, "met": mine >= best}
                },
                "machine": {"python": platform.python_version(), "cpus": os.cpu_count(), "system": platform.platform()},
            }
        )
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
