"""``python -m experiments fit|validate|test|predict``: the Trainer's commands, through LightningCLI."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.training.start import start


def main(argv: Sequence[str]) -> int:
    """Run ``fit -c CONFIG ... --model.lr=1e-3``; the first word is the command."""
    return start(argv)
