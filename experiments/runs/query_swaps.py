"""A test of whether disease query i stands for finding i.

Each query is put in the place of each other: the AUROC of the finding should fall. Where the data have boxes, the
query's cross-attention is also compared with them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ammrg.atomic import write_json
from ammrg.errors import CheckpointError, DataError


def write_query_swaps(checkpoint: Path, data: str, split: str, batch: int) -> None:
    """Run the test, write ``queries_<split>.json`` beside the checkpoint and print the table; see :func:`examine`."""
    found = examine(checkpoint, data, split, batch)
    path = checkpoint.parent / f"queries_{split}.json"
    write_json(path, found)
    show(found, f"{checkpoint}, {split}")
    print(path)


def examine(checkpoint: Path, data: str, split: str, batch: int) -> dict[str, Any]:
    """Compute, for each finding, how much depends on its own query.

    Args:
        checkpoint: of stage 1.
        data: the prepared folder it was trained on.
        split: the studies to test on.
        batch: studies of a batch.

    Returns:
        For each finding its AUROC, the AUROC with other queries in its query's place, how far the AUROC of the other
        findings moves, and the pointing game of its query's cross-attention (None without boxes); then summaries.

    Raises:
        CheckpointError: the checkpoint was trained on other data, or its head does not read single queries.
        DataError: the split has no labelled studies.
    """
    import torch

    from ammrg.findings import FINDINGS
    from ammrg.metrics.pointing import PointingGame, pointing_scores
    from ammrg.networks.class_activation import compared_maps
    from ammrg.networks.disease_classifier import PerQueryHead
    from ammrg.networks.query_swap import BROKEN, swap_queries
    from experiments.runs.stage import data_of_stage1
    from lightning_modules.stage1_checkpoint import load_stage1

    stage1 = load_stage1(checkpoint)
    if not isinstance(stage1.classifier.head, PerQueryHead):
        head = stage1.classifier.config["head"]
        raise CheckpointError(f"{checkpoint}: head {head} reads no single query; name a stage 1 with another head")
    module = data_of_stage1(stage1, checkpoint, data, batch)
    game = PointingGame(stage1.classifier.encoder.cell_shift)
    tokens, labels, owners = [], [], []
    studies = 0
    for part in module.evaluation_loader(split):
        maps, seen = compared_maps(stage1.classifier, part.images, ("attention",))
        game.update(maps["attention"], part)
        tokens.append(seen.raw_tokens)
        owners.append(part.study_of_view + studies)
        labels.append(part.labels)
        studies += len(part.labels)
        grid = seen.grid
    every_label = torch.cat(labels) if labels else torch.empty(0, 1)
    labelled = ~every_label.isnan().all(dim=1)
    if not labelled.any():
        raise DataError(f"{data}: {split} holds no labelled study to test queries on; choose another --split")
    study_of_view = torch.cat(owners)
    swaps = swap_queries(
        stage1.classifier,
        torch.cat(tokens),
        grid,
        every_label[labelled],
        lambda logits: stage1.classifier.study_logits(logits, study_of_view, studies)[labelled],
    )
    cases = game.compute()
    pointing = pointing_scores(cases, resamples=500) if cases is not None else {}
    by_finding = pointing.get("pointing_game_by_finding", {})
    rows = {
        name: {
            "auroc": _number(swaps.own[i]),
            "auroc_replaced_mean": _number(swaps.replaced[i].mean()),
            "auroc_replaced_lowest": _number(swaps.replaced[i].min()),
            "auroc_replaced_highest": _number(swaps.replaced[i].max()),
            "others_move_at_most": _number(swaps.moved[i]),
            "attention_points": by_finding.get(name, {}).get("value"),
        }
        for i, name in enumerate(FINDINGS)
    }
    drops = swaps.drops
    return {
        "split": split,
        "studies": int(labelled.sum()),
        "findings": rows,
        "mean_drop": _number(drops.mean()),
        "median_drop": _number(drops.median()),
        "share_broken": _number((drops > BROKEN).double().mean()),
        "not_broken": [
            {"finding": FINDINGS[i], "query": FINDINGS[j], "auroc": float(swaps.swapped[i, j, i])}
            for i, j in swaps.not_broken
        ],
        "not_found": [name for name, found in zip(FINDINGS, swaps.found.tolist(), strict=True) if not found],
        "others_move_at_most": _number(swaps.moved.max()),
        "attention_pointing_game": pointing.get("pointing_game"),
        "attention_pointing_game_mean_map": pointing.get("pointing_game_mean_map"),
    }


def _number(value: Any) -> float | None:
    """A number for JSON, which has no NaN: None in its place."""
    return None if value.isnan() else float(value)


def show(found: dict[str, Any], title: str) -> None:
    """Print the table and its summary."""
    from rich.console import Console
    from rich.table import Table

    from ammrg.networks.query_swap import BROKEN, FOUND

    def digits(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    table = Table(title=title)
    table.add_column("finding")
    headings = ("AUROC", "replaced: mean", "lowest", "highest", "others move at most", "attention hits")
    for heading in headings:
        table.add_column(heading, justify="right")
    for name, row in found["findings"].items():
        table.add_row(name, *(digits(value) for value in row.values()))
    console = Console()
    console.width = max(console.width, 120)
    console.print(table)
    game = found["attention_pointing_game"]
    lines = [
        f"another query in a query's place takes {digits(found['mean_drop'])} off its finding's AUROC (median "
        f"{digits(found['median_drop'])}; above {BROKEN} in {digits(found['share_broken'])} of the pairs) and moves no "
        f"other by more than {digits(found['others_move_at_most'])}"
    ]
    if game:
        lines.append(f"the attention of a query peaks on its finding in {game['value']:.1%} of the cases")
    if found["not_found"]:
        lines.append(
            f"left out, because their own AUROC is below {FOUND} or undefined: {', '.join(found['not_found'])}"
        )
    left: dict[str, list[str]] = {}
    for pair in found["not_broken"]:
        left.setdefault(pair["finding"], []).append(f"{pair['query']} ({digits(pair['auroc'])})")
    lines += [f"- {name} is still found with the query of {', '.join(pairs)}" for name, pairs in left.items()]
    for line in lines:
        console.print(line, highlight=False)
