"""Measures scoring at MIMIC-CXR's size: ``python -m benchmarks.scoring [--studies 3858] [--meteor] [--quick]``.

All language metrics, the clinical table and 1,000 bootstrap resamples are computed on one core, for as many pairs of
texts as R2Gen's test split of MIMIC-CXR has. A text has about 60 words, made of sentences of phantom reports. The peer
calls the reference scorers (pycocoevalcap's BLEU, ROUGE-L and CIDEr, scikit-learn's averages) once for each resample;
it is timed on a few resamples and extrapolated to all. The peer does not label or clean texts again, so that only
scoring is compared; the plain scores of both are compared first. METEOR runs only on request, because it needs Java and
a process of its own. Prints a table, then one JSON line.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import platform
import random
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from rich.console import Console
from rich.table import Table
from sklearn.metrics import precision_recall_fscore_support

from ammrg.commands.parser import CommandParser
from ammrg.evaluation.predictions import Line, System
from ammrg.evaluation.scoring import score_systems
from ammrg.metrics import bootstrap, clinical, language
from ammrg.metrics.protocols import protocol
from ammrg.text.labelers import rule_based
from benchmarks.agreement import check_gaps
from datamodules.sources.phantom.plan import plan_study
from datamodules.sources.phantom.sentences import write_report

STUDIES, RESAMPLES = 3858, 1000
WORDS = 60
PEER_RESAMPLES = 3
SECONDS, MIB = 60.0, 2048.0


def texts(count: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """References and generated reports that share about half of their sentences."""
    draw = random.Random(seed)
    pool = [
        sentence.strip() + "."
        for i in range(200)
        for sentence in write_report(plan_study("val", i, seed)).findings.split(". ")
        if sentence.strip(" .")
    ]

    def written(start: list[str]) -> str:
        said = list(start)
        while sum(len(sentence.split()) for sentence in said) < draw.gauss(WORDS, WORDS / 4):
            said.append(draw.choice(pool).replace("..", "."))
        draw.shuffle(said)
        return " ".join(said)

    shared = [[draw.choice(pool) for _ in range(4)] for _ in range(count)]
    return [written(start) for start in shared], [written(start[: draw.randint(0, 4)]) for start in shared]


def reference_scorers(
    references: Sequence[str], generated: Sequence[str], truth: np.ndarray, said: np.ndarray
) -> dict[str, float]:
    """The scores of the public packages for one corpus."""
    golds = {i: [text] for i, text in enumerate(references)}
    hypotheses = {i: [text] for i, text in enumerate(generated)}
    with contextlib.redirect_stdout(io.StringIO()):
        bleu, _ = Bleu(4).compute_score(golds, hypotheses)
    scores = {f"bleu_{k + 1}": float(value) for k, value in enumerate(bleu)}
    scores["rouge_l"] = float(Rouge().compute_score(golds, hypotheses)[0])
    scores["cider"] = float(Cider().compute_score(golds, hypotheses)[0])
    for uncertain in clinical.UNCERTAIN_AS:
        sides = [clinical.positives(table, uncertain).astype(int) for table in (truth, said)]
        for name, index in clinical.SELECTIONS.items():
            for average in clinical.AVERAGES:
                found = precision_recall_fscore_support(
                    *(side[:, list(index)] for side in sides),
                    average="samples" if average == "example" else average,
                    zero_division=0,
                )
                for part, value in zip(clinical.PARTS, found[:3], strict=True):
                    scores[f"clinical_{average}_{part}_{name}_{uncertain}"] = float(value)
    return scores


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Wall time of a call in seconds, and its result."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Keep this process on one core, if the system allows it; restore its cores afterwards."""
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if cores:
        os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        if cores:
            os.sched_setaffinity(0, cores)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the options, measure on one core."""
    parser = CommandParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=STUDIES)
    parser.add_argument("--resamples", type=int, default=RESAMPLES)
    parser.add_argument("--meteor", action="store_true", help="time METEOR too")
    parser.add_argument("--quick", action="store_true", help="100 studies, 50 resamples")
    options = parser.parse_args(argv)
    studies, resamples = (100, 50) if options.quick else (options.studies, options.resamples)
    with one_core():
        return measure(studies, resamples, options.meteor, quick=options.quick)


def measure(studies: int, resamples: int, meteor: bool, quick: bool) -> int:
    """Measure and print."""
    references, generated = texts(studies)
    lines = [
        Line(f"s{i:05}", f"p{i // 3}", reference, said)
        for i, (reference, said) in enumerate(zip(references, generated, strict=True))
    ]

    # The whole command's work for one file and one protocol, intervals, guards' sentences and all.
    system = System("", "ours", "reports.jsonl", lines)  # type: ignore[arg-type]
    whole, scores = seconds(
        lambda: score_systems(
            [system], protocols=("full",), dataset="mimic_cxr", resamples=resamples, with_meteor=meteor
        )
    )

    # Its parts, and the peer on the very same words and labels.
    view = protocol("full", "mimic_cxr")
    words = [view.reference(text) for text in references], [view.hypothesis(text) for text in generated]
    measuring, spoken = seconds(lambda: language.language_statistics(*words))
    labelling, labels = seconds(lambda: [rule_based().label_all(column) for column in (references, generated)])
    truth, said = (np.array(column) for column in labels)
    found = clinical.clinical_statistics(truth, said)
    weights = bootstrap.patient_weights([line.subject_id for line in lines], resamples)
    resampling, _ = seconds(
        lambda: (
            bootstrap.with_intervals(lambda rows: language.weighted_scores(spoken, rows), weights),
            bootstrap.with_intervals(lambda rows: clinical.weighted_scores(found, rows), weights),
        )
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    plain = reference_scorers(*words, truth, said)
    apart = {key: abs(plain[key] - scores["full"][key]["value"]) for key in plain}
    worst = check_gaps(apart, 1e-9, "the plain scores and ours")
    peers = []
    for row in weights[: 1 if quick else PEER_RESAMPLES]:
        drawn = np.repeat(np.arange(studies), row.astype(int))
        columns = [[column[i] for i in drawn] for column in words]
        peers.append(
            seconds(lambda columns=columns, drawn=drawn: reference_scorers(*columns, truth[drawn], said[drawn]))[0]
        )
    peer = statistics.median(peers) * resamples
    ours = measuring + resampling

    table = Table(title=f"{studies} pairs, {np.mean([len(text.split()) for text in words[0]]):.0f} words, one core")
    for column in ("part", "seconds"):
        table.add_column(column, justify="left" if column == "part" else "right")
    for name, value in (
        ("the command's whole work" + (" with METEOR" if meteor else ""), whole),
        ("per-study language statistics", measuring),
        ("labels of both sides", labelling),
        (f"{resamples} resamples of all metrics", resampling),
        (f"reference scorers, {resamples} times", peer),
    ):
        table.add_row(name, f"{value:,.2f}")
    Console().print(table)
    print(
        json.dumps(
            {
                "benchmark": "scoring",
                "cases": [
                    {
                        "studies": studies,
                        "resamples": resamples,
                        "meteor": meteor,
                        "whole_s": whole,
                        "labels_s": labelling,
                        "ours_s": ours,
                        "peer_s": peer,
                        "ratio": peer / ours,
                        "ours_mib": peak,
                    }
                ],
                "targets": {
                    "whole work, seconds": {"value": whole, "target": SECONDS, "met": whole < SECONDS},
                    "peak memory, MiB": {"value": peak, "target": MIB, "met": peak < MIB},
                    "plain scores equal the reference scorers'": {"value": worst, "target": 1e-9, "met": worst < 1e-9},
                },
                "machine": {"python": platform.python_version(), "cpus": os.cpu_count(), "system": platform.platform()},
            }
        )
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
