"""``python -m experiments demo``: like ``ammrg demo``, with drawn studies, and also for a run that is not exported."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from ammrg.commands import demo as command
from ammrg.commands.exported_model import opener
from ammrg.commands.parser import CommandParser


def main(argv: Sequence[str]) -> int:
    """Run ``python -m experiments demo --run outputs/phantom/default`` (or ``--model FOLDER``)."""
    parser = CommandParser(prog="python -m experiments demo", description=command.DESCRIPTION)
    command.add_arguments(parser)
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--run", type=Path, help="a finished run: outputs/<dataset>/<run>")
    whose.add_argument("--model", help="an exported folder (python -m experiments export), or its hub id")
    options = parser.parse_args(argv)
    from experiments.runs.run import Run

    if options.run:
        Run(options.run).checkpoint  # noqa: B018  # a missing one is an error before seconds of imports

    open_model = opener(options.model) if options.model else lambda: Run(options.run).generator(None)

    if options.examples is not None:
        return command.show(options, open_model)
    from experiments.data.phantom_examples import draw_examples

    with tempfile.TemporaryDirectory(prefix="ammrg-demo-") as folder:
        options.examples = draw_examples(Path(folder))
        return command.show(options, open_model)
