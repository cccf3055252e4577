"""Does disease query i mean finding i? Each query in each other's place, and where each looks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ammrg.errors import CheckpointError, DataError


def examine(checkpoint: Path, data: str, split: str, batch: int) -> dict[str, Any]:
    """What the command tells: of each finding its AUROC, the same with another query in its place, how far others move,
    and the pointing game of its query's cross-attention where the data have boxes.

    Raises:
        CheckpointError: a checkpoint trained on other data, or with a head that reads no single query.
        DataError: a split without labelled studies.
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
        raise DataError(f"{data}: {split} holds no labelled study to judge queries by; choose another --split")
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
    """None for NaN: JSON has no other word for it."""
    return None if value.isnan() else float(value)


def show(found: dict[str, Any], title: str) -> None:
    """The table and its sums."""
    from rich.console import Console
    from rich.table import Table

    from ammrg.networks.query_swap import BROKEN, FOUND

    def told(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    table = Table(title=title)
    table.add_column("finding")
    headings = ("AUROC", "replaced: mean", "lowest", "highest", "others move at most", "attention points")
    for heading in headings:
        table.add_column(heading, justify="right")
    for name, row in found["findings"].items():
        table.add_row(name, *(told(value) for value in row.values()))
    console = Console()
    console.width = max(console.width, 120)
    console.print(table)
    game = found["attention_pointing_game"]
    points = f"; its attention's peak lies on the finding in {game['value']:.1%} of the cases" if game else ""
    lines = [
        f"another query in a query's place takes {told(found['mean_drop'])} off its finding's AUROC (median "
        f"{told(found['median_drop'])}; above {BROKEN} in {told(found['share_broken'])} of the pairs) and moves no "
        f"other by more than {told(found['others_move_at_most'])}{points}"
    ]
    if found["not_found"]:
        lines.append(f"left out, with an AUROC below {FOUND} or none of their own: {', '.join(found['not_found'])}")
    left: dict[str, list[str]] = {}
    for pair in found["not_broken"]:
        left.setdefault(pair["finding"], []).append(f"{pair['query']} ({told(pair['auroc'])})")
    lines += [f"- {name} is still found with the query of {', '.join(pairs)}" for name, pairs in left.items()]
    for line in lines:
        console.print(line, highlight=False)
