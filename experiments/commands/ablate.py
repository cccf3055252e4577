"""Variants of a stage, run in turn and shown as one table with intervals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.parser import CommandParser
from ammrg.errors import SettingsError
from experiments.launching.ablation import CONFIGS, numbers, overlay, read_ablation, run, show


def main(argv: Sequence[str]) -> int:
    """Run what is missing, write ``ablation.json``, print the table.

    Returns:
        0, or 1 where a variant failed: the others run all the same, and its row shows what there is.
    """
    parser = CommandParser(prog="python -m experiments ablate", description=__doc__)
    parser.add_argument("ablation", type=Path, help="a file of experiments/configs/ablations")
    parser.add_argument("--dataset", required=True, help="as in experiments/configs/data")
    parser.add_argument("--data", required=True, help="the prepared folder")
    parser.add_argument("--model", required=True, help="the overlay all variants start from")
    parser.add_argument("--out", type=Path, required=True, help="where the variants go, a folder each")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these variants; default: all")
    # What is not named above goes to every variant: --trainer.max_epochs=2
    options, extra = parser.parse_known_args(argv)
    ablation = read_ablation(options.ablation)
    names = [variant.name for variant in ablation.variants]
    unknown = set(options.only or []) - set(names)
    if unknown:
        raise SettingsError(f"--only: no variant {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    data = CONFIGS / "data" / f"{options.dataset}.yaml"
    if not data.is_file():
        raise SettingsError(f"--dataset {options.dataset}: no {data}")
    files = [
        CONFIGS / ablation.stage / "default.yaml",
        data,
        overlay(ablation.stage, options.dataset, options.model),
    ]
    base = [word for file in files for word in ("-c", str(file))] + [f"--data.folder={options.data}"]
    chosen = [variant for variant in ablation.variants if variant.name in (options.only or names)]
    failed = []
    for number, variant in enumerate(chosen, start=1):
        print(f"\n--- variant {number} of {len(chosen)}: {variant.name} {' '.join(variant.arguments)}")
        if not run(variant, ablation, base, options.out, extra):
            failed.append(variant.name)
    rows = {variant.name: numbers(variant, ablation, options.out) for variant in chosen}
    path = options.out / "ablation.json"
    path.write_text(json.dumps(rows, indent=1) + "\n")
    show(rows, list(ablation.columns), f"{options.dataset}, {options.model}: {ablation.stage}")
    print(path)
    if failed:
        print(f"not whole: {', '.join(failed)} (their errors stand above)")
    return int(bool(failed))
