"""Variants of a stage, run in turn and shown as one table with intervals."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ammrg.atomic import write_json
from ammrg.commands.exit_status import succeeds
from ammrg.errors import SettingsError
from ammrg.evaluation.figures import told
from experiments.runs.stage import Stage

CONFIGS = Path(__file__).parents[1] / "configs"


class Variant(NamedTuple):
    """One row of the table."""

    name: str
    arguments: list[str]
    """Of the Trainer's commands, as on the command line."""
    weights_of: str | None
    """Another variant that is not trained again but used with these arguments; None trains."""

    def folder(self, out: Path) -> Path:
        """Of its run."""
        return out / self.name.lower().replace(" ", "_")


class Ablation(NamedTuple):
    """What a file of ``configs/ablations`` says."""

    stage: str
    variants: list[Variant]
    columns: dict[str, list[str]]
    """Heading -> a JSON file of the variant's folder, then the keys that lead to the number."""


def read_ablation(path: Path) -> Ablation:
    """Read and check a file.

    Raises:
        SettingsError: no such file, or one that is not as it must be, by field.
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
                "must be a list of options as on the command line, each a text (--model.lora=null)"
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
        raise SettingsError(f"{path}: variants: there is none")
    return Ablation(settings["stage"], variants, settings["columns"])


def overlay(stage: str, dataset: str, model: str) -> Path:
    """The overlay of a model, one made for the data set before the general one (as in the Makefile).

    Raises:
        SettingsError: there is none.
    """
    for name in (f"{dataset}_{model}", model):
        path = CONFIGS / stage / f"{name}.yaml"
        if path.is_file():
            return path
    raise SettingsError(f"--model {model}: no {CONFIGS / stage / model}.yaml")


def run(variant: Variant, ablation: Ablation, base: Sequence[str], out: Path, extra: Sequence[str]) -> bool:
    """Train a variant (unless it uses another's weights), then predict with it: mine, or write reports and score them.
    What is finished is left alone.

    Returns:
        Whether all went well; a command that failed has said why.
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
    """Heading -> a number, or {value, low, high}; None where the variant has no such file or number."""
    found: dict[str, Any] = {}
    for heading, (file, *keys) in ablation.columns.items():
        path = variant.folder(out) / file
        value = json.loads(path.read_text()) if path.is_file() else None
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        found[heading] = value
    return found


def show(rows: Mapping[str, Mapping[str, Any]], headings: Sequence[str], title: str) -> None:
    """The table: a variant a row, 95% intervals where a number has one."""
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
