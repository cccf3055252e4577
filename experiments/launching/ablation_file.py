"""An ablation file: the variants of a stage, and the columns of their table."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import yaml

from ammrg.errors import SettingsError

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
