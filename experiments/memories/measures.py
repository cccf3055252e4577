"""Measures of what the memories of a trained run do: which regions its queries retrieve, and what its reports gain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from ammrg.atomic import write_json
from ammrg.errors import SettingsError
from ammrg.evaluation.evaluate import evaluate
from ammrg.evaluation.figures import formatted
from ammrg.evaluation.score_table import COLUMNS
from ammrg.findings import FINDINGS
from ammrg.metrics.associations import AssociationScores, added, association_scores, count_associations
from experiments.runs.guards import GUARDS, write_guards_of_run
from experiments.runs.run import Run

MEMORY_GUARDS = tuple(name for name in GUARDS if name.startswith("memory"))
SHOWN = ("clinical_micro_f1_13_neg", "clinical_macro_f1_14_neg", "cider")


def associations(run: Path, split: str = "test", k: int = 5) -> dict[str, Any]:
    """Measure how often the query of a positive finding retrieves regions of that finding, beside chance.

    The result is printed and written to ``associations.json`` in the run's folder.

    Args:
        run: folder of a finished run.
        split: the studies to measure on.
        k: number of strongest associations that are counted.

    Returns:
        The content of ``associations.json``.

    Raises:
        SettingsError: the run's visual memory is off, or no study of the split has a positive finding.
    """
    opened = Run(run)
    model, datamodule = opened.model(), opened.data
    network, bank = model.network, model.network.visual_bank
    if bank is None:
        raise SettingsError(
            f"{run}: its visual memory is off, so it retrieves no regions; name a run with a visual memory"
        )
    regions = network.memory("visual")
    datamodule.predict_split = split
    counts = []
    with torch.inference_mode():
        for batch in datamodule.predict_dataloader():
            states = network.prompt(batch).states
            found, allowed = regions.associations(batch, states)
            counts.append(count_associations(found, batch.labels, bank.region_findings, allowed, k))
    total, each = association_scores(added(counts))
    if total.queries == 0:
        raise SettingsError(
            f"{run}: no {split} study has a positive finding and regions to retrieve; name another --split"
        )
    result = {
        "split": split,
        "top": k,
        "memory": bank.fingerprint,
        "all": total._asdict(),
        "findings": {FINDINGS[finding]: scores._asdict() for finding, scores in each.items()},
    }
    write_json(run / "associations.json", result)
    console = Console()
    console.print(association_table(total, {FINDINGS[finding]: scores for finding, scores in each.items()}, k))
    console.print(f"{run / 'associations.json'}", markup=False, highlight=False, soft_wrap=True)
    return result


def association_table(total: AssociationScores, each: dict[str, AssociationScores], k: int) -> Table:
    """The measures of each finding and of all findings as a table."""
    table = Table(title="what the query of a positive finding retrieves", pad_edge=False, padding=(0, 1, 0, 0))
    heads = ("finding", "queries", "top 1 same", f"top {k} same", "weight same", "chance", "on regions")
    for head in heads:
        table.add_column(head, justify="left" if head == "finding" else "right", no_wrap=head == "finding")
    for name, scores in (*each.items(), ("all", total)):
        shares = (scores.top, scores.top_k, scores.weight, scores.chance, scores.on_regions)
        table.add_row(name, str(scores.queries), *(f"{share:.0%}" for share in shares), end_section=name != "all")
    return table


def compare(run: Path) -> dict[str, Any]:
    """Write and score reports with the memories exchanged between patients, each off and both off.

    Writes ``guards/memory_*.jsonl`` beside the run's reports, scores everything again (``scores.json``) and prints the
    scores that concern the memories.

    Args:
        run: folder of a finished run.

    Returns:
        The content of ``scores.json``.

    Raises:
        ScoringError: the run has no reports yet.
    """
    write_guards_of_run(run, MEMORY_GUARDS)
    scores = evaluate(run / "reports.jsonl")
    write_json(run / "scores.json", scores)
    console = Console()
    console.print(memory_table(scores))
    for sentence in scores["sentences"]:
        if "memor" in sentence:
            console.print(f"- {sentence}", highlight=False, markup=False)
    return scores


def memory_table(scores: dict[str, Any]) -> Table:
    """A table with a row for the run's own memories and one for each guard: values with 95% intervals."""
    first = next(iter(scores["meta"]["protocols"]))
    table = Table(title=f"{scores['meta']['studies']} studies, {scores['meta']['labeler']}", pad_edge=False)
    table.add_column("memories")
    for key in SHOWN:
        table.add_column(COLUMNS[key], justify="right")
    rows = {"own": scores[first]} | {name: scores["guards"][name][first] for name in MEMORY_GUARDS}
    for name, values in rows.items():
        table.add_row(name.removeprefix("memory_").replace("_", " "), *(formatted(values[key]) for key in SHOWN))
    return table
