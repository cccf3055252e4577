"""``python -m experiments models``: make language models as local Hugging Face folders.

``models phantom --data data/phantom --out models/phantom-llm`` trains a tiny one on the phantom's training reports;
``models small --out models`` fetches small pretrained ones. ``models told FOLDER --data data/phantom`` measures
whether a language model, or that of a run, writes what it is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.output_folder import output_folder
from ammrg.commands.parser import CommandParser
from experiments.language_models.fetched import fetch_small
from experiments.language_models.phantom import SIZES, train_and_print
from experiments.runs.told import print_told


def main(argv: Sequence[str] | None = None) -> int:
    """Train the phantom's model (``phantom``), fetch the pretrained ones (``small``), or measure one (``told``)."""
    parser = CommandParser(prog="python -m experiments models", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    phantom = commands.add_parser("phantom", help="train the phantom's tiny language model")
    phantom.add_argument(
        "--data", type=Path, default=Path("data/phantom"), help="prepared data to train on (default: %(default)s)"
    )
    phantom.add_argument(
        "--out", type=Path, default=Path("models/phantom-llm"), help="the model's folder (default: %(default)s)"
    )
    phantom.add_argument(
        "--size", choices=sorted(SIZES), default="tiny", help="real: for real reports (default: %(default)s)"
    )
    phantom.add_argument("--seed", type=int, default=0, help="default %(default)s")
    small = commands.add_parser("small", help="fetch SmolLM2-135M-Instruct, all-MiniLM-L6-v2 and EfficientNet-Lite0")
    small.add_argument("--out", type=Path, default=Path("models"), help="parent folder (default: %(default)s)")
    told = commands.add_parser("told", help="does a language model write the findings and places that it is told?")
    told.add_argument("model", help="folder or hub id of the model, or a run: outputs/<dataset>/<run>")
    told.add_argument("--data", type=Path, help="prepared data (default: the run's, or data/phantom)")
    told.add_argument("--drafts", type=int, default=0, help="most drafts of a report (default: %(default)s)")
    arguments = parser.parse_args(argv)
    if arguments.command == "small":
        fetch_small(arguments.out)
    elif arguments.command == "told":
        print_told(arguments.model, arguments.data, arguments.drafts)
    else:
        with output_folder(arguments.out):
            train_and_print(arguments.data, arguments.out, arguments.size, arguments.seed)
    return 0
