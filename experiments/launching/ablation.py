"""Ablations: variants of a stage, run one after another and shown in one table with intervals."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ammrg.commands.exit_status import succeeds
from ammrg.errors import SettingsError
from ammrg.evaluation.figures import told
from experiments.runs.stage import Stage

CONFIGS = Path(__file__).parents[1] / "configs"


class Variant(NamedTuple):
    """One row of the table."""

    name: str
    arguments: list[str]
    """Options of ``fit`` and ``predict``, as on the command line."""
    weights_of: str | None
    """The variant whose trained weights are used with these arguments; None trains this variant."""

    def folder(self, out: Path) -> Path:
        """The folder of the variant's run."""
        return out / self.name.lower().replace(" ", "_")


class Ablation(NamedTuple):
    """The content of a file of ``configs/ablations``."""

    stage: str
    variants: list[Variant]
    columns: dict[str, list[str]]
    """Heading -> the name of a JSON file in the variant's folder, then the keys that lead to the number."""


def read_ablation(path: Path) -> Ablation:
    """Read and check a file of ``configs/ablations``.

    Raises:
        SettingsError: the file does not exist, or a field is wrong; the message names the field.
    """
    if not path.is_file():
        found = ", ".join(sorted(file.stem for file in (CONFIGS / "ablations").glob("*.yaml")))
        raise SettingsError(f"{path}: no such file; {CONFIGS / 'ablations'} holds {found}")
    settings = yaml.safe_load(path.read_text())
    if not isinstance(settings, dict) or set(settings) != {"stage", "variants", "columns"}:
        raise SettingsError(f"{path}: must hold stage, variants and columns, and nothing else")
    if not (CONFIGS / str(settings["stage"]) / "default.yaml").is_file():
        raise SettingsError(f"{path}: stage {settings['stage']!r} has no {CONFIGS}/{settings['stage']}/default.yaml")
    variants: list[Variant] = []
    for name, given in (settings["variants"] or {}).items():
        fields = given or {}
        unknown = set(fields) - {"arguments", "weights_of"}
        if unknown:
            raise SettingsError(f"{path}: variants.{name}: unknown {', '.join(sorted(unknown))}")
        arguments = fields.get("arguments") or []
        if not isinstance(arguments, list) or (wrong := [word for word in arguments if not isinstance(word, str)]):
            raise SettingsError(
                f"{path}: variants.{name}.arguments: found {wrong[0] if isinstance(arguments, list) else arguments!r}, "
                "must be a list of texts, one for each option of the command line (--model.lora=null)"
            )
        variant = Variant(str(name), arguments, fields.get("weights_of"))
        trained = [other.name for other in variants if other.weights_of is None]
        if variant.weights_of is not None and variant.weights_of not in trained:
            raise SettingsError(
                f"{path}: variants.{name}.weights_of: {variant.weights_of!r} is no trained variant before it "
                f"({', '.join(trained) or 'there is none'})"
            )
        variants.append(variant)
    if not variants:
        raise SettingsError(f"{path}: variants: found none, must hold at least one")
    return Ablation(settings["stage"], variants, settings["columns"])


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


def overlay(stage: str, dataset: str, model: str) -> Path:
    """The overlay of a model: the one for this data set if it exists, else the general one (as in the Makefile).

    Raises:
        SettingsError: neither exists.
    """
    for name in (f"{dataset}_{model}", model):
        path = CONFIGS / stage / f"{name}.yaml"
        if path.is_file():
            return path
    raise SettingsError(f"--model {model}: no {CONFIGS / stage / model}.yaml")


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
    done.write_text(json.dumps(settings, indent=1) + "\n")
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
    """Print the table: one row per variant, with the 95% interval of a number if it has one."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    table.add_column("variant")
    for heading in headings:
        table.add_column(heading, justify="right")
    for name, values in rows.items():
        table.add_row(name, *(told(values[heading]) for heading in headings))
    console = Console()
    console.width = max(console.width, 200)  # a narrow window would break the columns
    console.print(table)
