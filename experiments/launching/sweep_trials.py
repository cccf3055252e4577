"""A sweep file, and the trials that are drawn from it here."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ammrg.errors import SettingsError

SWEEPS = Path(__file__).parents[1] / "sweeps"


class Trial(NamedTuple):
    """One combination of the sweep's settings."""

    name: str
    arguments: list[str]
    """Options, as on the command line."""


def read_sweep(path: Path) -> dict[str, Any]:
    """Read and check a sweep file.

    Raises:
        SettingsError: the file does not exist or is not YAML, or a field is missing or wrong.
    """
    if not path.is_file():
        found = ", ".join(sorted(file.stem for file in SWEEPS.glob("*.yaml")))
        raise SettingsError(f"{path}: no such sweep file; {SWEEPS} holds {found}")
    try:
        settings = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not YAML: {error}") from error
    missing = {"name", "method", "metric", "parameters"} - set(settings if isinstance(settings, dict) else {})
    if missing:
        raise SettingsError(f"{path}: lacks {', '.join(sorted(missing))}")
    metric, parameters = settings["metric"], settings["parameters"]
    if not isinstance(metric, dict) or "name" not in metric or metric.get("goal") not in ("maximize", "minimize"):
        raise SettingsError(f"{path}: metric must have a name and a goal (maximize or minimize), found {metric!r}")
    if not isinstance(parameters, dict) or not all(isinstance(each, dict) for each in parameters.values()):
        raise SettingsError(f"{path}: parameters must map each key of the command line to its value, values or bounds")
    for name, each in parameters.items():
        listed = "value" in each or "values" in each
        if settings["method"] == "grid" and not listed:
            raise SettingsError(f"{path}: {name}: a grid needs value or values")
        if not listed and not {"min", "max"} <= set(each):
            raise SettingsError(f"{path}: {name}: needs value, values, or min and max, found {each}")
    found = dict(settings)
    return found


def drawn(name: str, parameter: Mapping[str, Any], draw: random.Random) -> Any:
    """Draw one value of a parameter at random.

    Raises:
        SettingsError: the distribution is not supported here.
    """
    if "value" in parameter:
        return parameter["value"]
    if "values" in parameter:
        return draw.choice(parameter["values"])
    kind = parameter.get("distribution", "uniform")
    if kind not in ("uniform", "int_uniform", "log_uniform_values"):
        raise SettingsError(
            f"{name}: distribution {kind!r} cannot be drawn here; use uniform, int_uniform or log_uniform_values"
        )
    low, high = parameter["min"], parameter["max"]
    if kind == "int_uniform":
        return draw.randint(low, high)
    if kind == "log_uniform_values":
        return float(f"{math.exp(draw.uniform(math.log(low), math.log(high))):.4g}")
    return float(f"{draw.uniform(low, high):.4g}")


def settings_of(sweep: Mapping[str, Any], seed: int) -> Iterator[dict[str, Any]]:
    """Yield random settings without end, or the cells of a grid in order. Scores do not guide the choice."""
    parameters = sweep["parameters"]
    if sweep["method"] == "grid":
        cells = itertools.product(*(each.get("values", [each.get("value")]) for each in parameters.values()))
        yield from (dict(zip(parameters, cell, strict=True)) for cell in cells)
        return
    draw = random.Random(seed)
    while True:
        yield {name: drawn(name, each, draw) for name, each in parameters.items()}


def expand(sweep: Mapping[str, Any], count: int, seed: int = 0) -> list[Trial]:
    """The first ``count`` trials of a sweep."""
    chosen = itertools.islice(settings_of(sweep, seed), count)
    return [Trial(f"trial{number}", as_arguments(settings)) for number, settings in enumerate(chosen)]


def as_arguments(settings: Mapping[str, Any]) -> list[str]:
    """Settings as options. A text stays as it is; all else becomes JSON, which YAML reads too (null, true, lists)."""
    return [f"--{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in settings.items()]
