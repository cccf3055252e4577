"""Tables of the documentation from kept results of benchmarks of speed, one function for each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks._markdown import markdown


def result(folder: Path, name: str) -> Mapping[str, Any]:
    """What a benchmark kept."""
    found: Mapping[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return found


def seconds(value: float) -> str:
    """``.078``, ``1.454``."""
    return f"{value:.3f}".removeprefix("0")


def times(ratio: float) -> str:
    """``1.6``, ``15``."""
    return f"{ratio:.0f}" if ratio >= 9.95 else f"{ratio:.1f}"


def mining(folder: Path) -> str:
    """Ours beside the published procedure, and with its crops, by the number of findings on a film."""
    rows = []
    for row in result(folder, "mining")["cases"]:
        name = str(row["findings_per_film"])
        name += ", squares above .75 only" if row["least"] > 0.5 else ""
        name += ", bf16" if row["precision"] == "bf16" else ""
        ours, peer, crops = (seconds(row[f"{who}_s"]) for who in ("ours", "peer", "crop"))
        rows.append([name, ours, peer, times(row["ratio"]), crops, times(row["ratio_at_equal_output"])])
    crops = "ours with the same crops, s"
    return markdown(
        ["findings on a film", "ours, s a film", "published, s", "times faster", crops, "times faster at equal output"],
        rows,
    )


PROBES = {"near": "near (stored patterns with noise)", "far": "far (random directions)"}


def two_step(folder: Path) -> str:
    """An association in two steps beside the exact one, by the probes and how much is searched."""
    rows = [
        [
            PROBES[row["probes"]],
            str(row["visited"]),
            str(row["candidates"]),
            seconds(row["recall_at_10"]),
            seconds(row["same_strongest"]),
            f"{row['error']:.2f}" if row["error"] > 1 else seconds(row["error"]),
            times(row["ratio"]),
        ]
        for row in result(folder, "two_step")["cases"]
    ]
    heads = [
        "probes",
        "lists visited",
        "candidates",
        "recall@10",
        "same strongest",
        "error of the result",
        "times faster",
    ]
    return markdown(heads, rows)


def association(folder: Path) -> str:
    """Ours, the public layer and the fair rival, by patterns and studies; a dash where a rival was left out."""
    rows = []
    for row in result(folder, "hopfield")["cases"]:
        work = "forward + backward" if row["mode"] == "training" else "forward"
        work += f", dropout {row['dropout']:g}" if row["dropout"] else ""
        work += ", own study masked" if row["exclude_self"] else ""
        work += f", the {row['k']} strongest named" if row["k"] else ""
        if row["ours_s"] is None:
            continue
        peers = [*beside(row, "peer", "ratio"), *beside(row, "shared", "shared_ratio")]
        memory = " / ".join("-" if row[f"{who}_mib"] is None else f"{row[f'{who}_mib']:,.0f}" for who in SIDES)
        rows.append([f"{row['n']:,}", str(row["batch"]), work, f"{row['ours_s']:.3g}", *peers, memory])
    heads = ["patterns", "studies", "work", "ours, s", "hflayers, s", "times", "fair rival, s", "times"]
    return markdown([*heads, "MiB ours / hflayers / rival"], rows)


SIDES = ("ours", "peer", "shared")


def beside(row: Mapping[str, Any], name: str, key: str) -> tuple[str, str]:
    """Seconds of a rival, and how many times ours."""
    return ("-", "-") if row[f"{name}_s"] is None else (f"{row[f'{name}_s']:.3g}", times(row[key]))


def steps(folder: Path) -> str:
    """A training step of stage 2 beside the published one, in each table of the benchmark."""
    tables: dict[str, dict[str, Any]] = {}
    for row in result(folder, "stage2")["cases"]:
        tables.setdefault(row["table"], {})[row["row"]] = row
    rows = []
    for name, found in tables.items():
        ours, published = found["ours"], found["published"]
        rates = (f"{row['studies_per_s']:.2f}".removeprefix("0") for row in (ours, published))
        memory = " / ".join(f"{row['step_mib']:,.0f}" for row in (ours, published))
        rows.append([f"{name}, heads of {ours['association']}", *rates, times(published["ratio"]), memory])
    return markdown(["", "ours, studies/s", "published", "times", "MiB of a step, ours / published"], rows)


def served(folder: Path) -> str:
    """What the service answers one study at a time and in batches."""
    rows = []
    for row in result(folder, "serve")["cases"]:
        most = str(row["batch"]) + (f" ({row['mean_batch']:.1f} on average)" if row["batch"] > 1 else "")
        waits = (f"{row[key]:.2f}".removeprefix("0") for key in ("p50_s", "p95_s"))
        memory = ", ".join(f"{row[f'rss_{when}_mib']:,.0f}" for when in ("before", "after"))
        answered = f"{row['answered']} of {row['sent']}"
        rows.append([most, answered, f"{row['per_second']:.3g}", *waits, seconds(row["cpu_s_per_answer"]), memory])
    heads = ["batches of at most", "answered", "answers per second", "p50, s", "p95, s", "processor seconds per answer"]
    return markdown([*heads, "memory before, after, MiB"], rows)


WORDS = {
    "ours": "**now**",
    "other": "commit 30aa42c (prints after it has drawn)",
    "import torch": "floor: `import torch`",
    "read the model's files once": "read the model's files once",
}


def first_word(folder: Path) -> str:
    """Processor seconds to the first word of a description, beside another build's and the floor."""
    found = {row["name"]: row["cpu_s"] for row in result(folder, "first_word")["cases"] if "cpu_s" in row}
    rows = [
        [words, f"{found[name]:.1f}", f"{found[name] / found['other']:.2f}".removeprefix("0")]
        for name, words in WORDS.items()
    ]
    return markdown(["", "CPU s to the first word", "share of commit 30aa42c"], rows)
