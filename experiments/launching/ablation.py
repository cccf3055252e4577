"""Ablations: variants of a stage, run one after another and shown in one table with intervals."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ammrg.atomic import write_json
from ammrg.commands.exit_status import succeeds
from ammrg.errors import SettingsError
from ammrg.evaluation.figures import formatted
from experiments.launching.ablation_file import CONFIGS, Ablation, Variant, overlay, read_ablation
from experiments.runs.stage import Stage


def run_ablation(
    path: Path, dataset: str, data: str, model: str, out: Path, only: Sequence[str] | None, extra: Sequence[str]
) -> int:
    """Run every variant that is not finished, write ``out/ablation.json`` and print the table.

    Args:
        path: a file of ``configs/ablations``.
        dataset: a name from ``configs/data``.
        data: the prepared folder.
        model: the overlay that all variants start from.
        out: the folder for the variants, one subfolder each.
        only: names of the variants to run; None runs all.
        extra: further options of the Trainer's commands, for every variant.

    Returns:
        0, or 1 if a variant failed. The others still run, and the table shows what the failed one has.

    Raises:
        SettingsError: there is no such file, data set, overlay or variant.
    """
    ablation = read_ablation(path)
    names = [variant.name for variant in ablation.variants]
    unknown = set(only or []) - set(names)
    if unknown:
        raise SettingsError(f"--only: no variant {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    data_config = CONFIGS / "data" / f"{dataset}.yaml"
    if not data_config.is_file():
        raise SettingsError(f"--dataset {dataset}: no {data_config}")
    files = [CONFIGS / ablation.stage / "default.yaml", data_config, overlay(ablation.stage, dataset, model)]
    base = [word for file in files for word in ("-c", str(file))] + [f"--data.folder={data}"]
    chosen = [variant for variant in ablation.variants if variant.name in (only or names)]
    failed = []
    for number, variant in enumerate(chosen, start=1):
        print(f"\n--- variant {number} of {len(chosen)}: {variant.name} {' '.join(variant.arguments)}")
        if not run(variant, ablation, base, out, extra):
            failed.append(variant.name)
    rows = {variant.name: numbers(variant, ablation, out) for variant in chosen}
    table_file = out / "ablation.json"
    table_file.write_text(json.dumps(rows, indent=1) + "\n")
    show(rows, list(ablation.columns), f"{dataset}, {model}: {ablation.stage}")
    print(table_file)
    if failed:
        print(f"not finished: {', '.join(failed)} (see their errors above)")
    return int(bool(failed))


def run(variant: Variant, ablation: Ablation, base: Sequence[str], out: Path, extra: Sequence[str]) -> bool:
    """Train a variant and predict with it: mine regions, or write reports and score them.

    A variant with ``weights_of`` is not trained. Finished work is not repeated.

    Returns:
        Whether all commands succeeded; one that failed has printed why.
    """
    from ammrg.commands import score
    from experiments.runs.page_films import films_of_run
    from experiments.training.start import start

    folder = variant.folder(out)
    words = [*base, *variant.arguments, *extra, f"--trainer.default_root_dir={folder / ablation.stage}"]
    if variant.weights_of is None and not succeeds(lambda: start(["fit", *words])):
        return False
    trained = variant if variant.weights_of is None else Variant(variant.weights_of, [], None)
    best = Stage(trained.folder(out) / ablation.stage).checkpoint
    if not best.is_file():
        return False
    done = folder / "predicted.json"
    settings = {"checkpoint": str(best), "time": best.stat().st_mtime_ns, "arguments": words}
    if done.is_file() and json.loads(done.read_text()) == settings:
        return True
    done.unlink(missing_ok=True)
    if not succeeds(lambda: start(["predict", *words, f"--ckpt_path={best}"])):
        return False
    reports = folder / "reports.jsonl"
    if reports.is_file() and not succeeds(lambda: score.main([str(reports), "--quiet"], films_of_run)):
        return False
    write_json(done, settings)
    return True


def numbers(variant: Variant, ablation: Ablation, out: Path) -> dict[str, Any]:
    """Heading -> a number or ``{value, low, high}``; None if the variant has no such file or number."""
    found: dict[str, Any] = {}
    for heading, (file, *keys) in ablation.columns.items():
        path = variant.folder(out) / file
        value = json.loads(path.read_text()) if path.is_file() else None
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        found[heading] = value
    return found


def show(rows: Mapping[str, Mapping[str, Any]], headings: Sequence[str], title: str) -> None:
    """Print the table: one row per variant, with the 95% interval of a number if it has one.

    A column in which no variant has a number is left out.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    table.add_column("variant")
    shown = [heading for heading in headings if any(values[heading] is not None for values in rows.values())]
    for heading in shown:
        table.add_column(heading, justify="right")
    for name, values in rows.items():
        table.add_row(name, *(formatted(values[heading]) for heading in shown))
    console = Console()
    console.width = max(console.width, 40 + 24 * len(shown))  # a narrow window would break the columns
    console.print(table)
