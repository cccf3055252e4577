"""Language models as local Hugging Face folders.

``python -m experiments models phantom --data data/phantom --out models/phantom-llm`` trains a tiny one on the
phantom's training reports; ``python -m experiments models small --out models`` fetches two small pretrained ones.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.parser import CommandParser
from experiments.language_models.fetched import fetch_small
from experiments.language_models.phantom import SIZES, train_phantom


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m experiments models {phantom,small} ...``."""
    parser = CommandParser(prog="python -m experiments models", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    phantom = commands.add_parser("phantom", help="train the phantom's tiny language model")
    phantom.add_argument(
        "--data", type=Path, default=Path("data/phantom"), help="prepared phantom (default %(default)s)"
    )
    phantom.add_argument("--out", type=Path, default=Path("models/phantom-llm"), help="folder (default %(default)s)")
    phantom.add_argument("--size", choices=sorted(SIZES), default="tiny", help="default %(default)s")
    phantom.add_argument("--seed", type=int, default=0, help="default %(default)s")
    small = commands.add_parser("small", help="fetch SmolLM2-135M-Instruct and all-MiniLM-L6-v2")
    small.add_argument("--out", type=Path, default=Path("models"), help="parent folder (default %(default)s)")
    arguments = parser.parse_args(argv)
    if arguments.command == "phantom":
        from datamodules.prepared import read_card

        read_card(arguments.data)  # one that is not there is said before seconds of imports
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # bars of milliseconds; the training has its own
    if arguments.command == "small":
        fetch_small(arguments.out)
        return 0
    folder = train_phantom(arguments.data, arguments.out, arguments.size, arguments.seed)
    card = json.loads((folder / "training.json").read_text())
    print(
        f"{folder}: loss {card['train_loss']:.3f}, perplexity {card['perplexity']:.2f} "
        f"({card['perplexity_findings_told']:.2f} when told the findings)"
    )
    return 0
