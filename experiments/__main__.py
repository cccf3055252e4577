"""``python -m experiments COMMAND ...``: all commands of the project.

Light commands, such as ``score``, start without importing Lightning. ``fit``, ``validate``, ``test`` and ``predict`` go
to LightningCLI. People, sweeps and Slurm jobs all use these commands.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from ammrg.commands.program import Command, Program

# Without these, albumentations looks for a newer version online at import, and tokenizers warns when a loader forks.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

GOES_ON = "; the same command goes on from the last checkpoint, if there is one"
"""What the message after Ctrl-C adds for a command that can continue."""


def _command(name: str, summary: str, *, goes_on: str = "", has_more_options: bool = False) -> Command:
    """A command with a module of the same name."""
    return Command(f"experiments.commands.{name}", summary, "train", goes_on, has_more_options)


def _trainer(summary: str, goes_on: str = "") -> Command:
    """A command of the Trainer; one module runs them all, and gets the command's name as its first word."""
    return Command("experiments.commands.trainer", summary, "train", goes_on, has_more_options=True, is_named=True)


PROGRAM = Program(
    "python -m experiments",
    {
        "prepare": _command("prepare", "prepare a raw data set: validated Parquet shards and card.json"),
        "convert": _command("convert", "export prepared data as R2Gen or ReXrank JSON, with the films"),
        "models": _command("models", "train the phantom's tiny language model, or fetch the small pretrained models"),
        "fit": _trainer("train a stage (LightningCLI)", GOES_ON),
        "validate": _trainer("validate a checkpoint (LightningCLI)"),
        "test": _trainer("test a checkpoint (LightningCLI)"),
        "predict": _trainer("mine regions, encode reports or write reports (LightningCLI)"),
        "crossfit": _command("crossfit", "join stage 1 trained by folds, for stage 2"),
        "queries": _command("queries", "test whether disease query i stands for finding i"),
        "ablate": _command(
            "ablate",
            "run variants of a stage and show them in one table with intervals",
            goes_on=GOES_ON,
            has_more_options=True,
        ),
        "score": _command("score", "score any system's reports: scores.json, tables with baselines, report.html"),
        "guards": _command("guards", "write and score a run's reports again with other films or without memories"),
        "reports": _command("reports", "write and score a run's reports again: another operating point, or validation"),
        "describe": _command("describe", "describe one study: report, findings with maps, what the memories retrieved"),
        "serve": Command("experiments.commands.serve", "describe studies over HTTP, with a run", "serve"),
        "demo": Command("experiments.commands.demo", "show a page to try a run, with drawn studies", "demo"),
        "export": _command("export", "write a finished run as one folder with all it needs and its model card"),
        "runs": _command("runs", "list the runs in a table, and what differs between some of them"),
        "sweep": _command(
            "sweep",
            "try settings of a stage with W&B's agents, or a few here without its server",
            has_more_options=True,
        ),
        "slurm": _command("slurm", "run stages as Slurm jobs, with one script in the run's folder"),
        "memory": _command("memory", "show, check and extend memory banks, and withdraw studies from them"),
    },
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command of :data:`PROGRAM`.

    Args:
        argv: the words after ``python -m experiments``; None takes those of this process.

    Returns:
        The exit status, see :meth:`ammrg.commands.program.Program.run`.
    """
    return PROGRAM.run(sys.argv[1:] if argv is None else argv)


def stop(number: int, frame: FrameType | None) -> None:
    """Treat a cluster's signals like Ctrl-C; a training saves a checkpoint first (callbacks/run_checkpoint.py)."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, stop)
    sys.exit(main())
