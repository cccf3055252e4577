"""``python -m experiments ablate``: run the variants of a stage and show them in one table with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.parser import CommandParser
from experiments.launching.ablation import run_ablation


def main(argv: Sequence[str]) -> int:
    """Run an ablation; options that are not listed here go to every variant (``--trainer.max_epochs=2``).

    Returns:
        0, or 1 if a variant failed.
    """
    parser = CommandParser(
        prog="python -m experiments ablate",
        description="Run the variants of a stage one after another and show them in one table with intervals.",
    )
    parser.add_argument("ablation", type=Path, help="a file of experiments/configs/ablations")
    parser.add_argument("--dataset", required=True, help="a name from experiments/configs/data")
    parser.add_argument("--data", required=True, help="the prepared folder")
    parser.add_argument("--model", required=True, help="the overlay that all variants start from")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the variants, one subfolder each")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="run only these variants (default: all)")
    options, extra = parser.parse_known_args(argv)
    return run_ablation(
        options.ablation, options.dataset, options.data, options.model, options.out, options.only, extra
    )
