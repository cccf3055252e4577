"""``python -m experiments COMMAND ...``: the one command of the project.

Light commands (scores, settings) start without Lightning; the Trainer's own (fit, validate, test, predict) go to
LightningCLI, so that a hand, a sweep and a Slurm job speak one grammar.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from ammrg.commands.program import Command, Program

# albumentations asks the network for a newer version at import, and tokenizers warns when a loader forks.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

GOES_ON = "; the same command goes on from the last checkpoint"


def _command(name: str, summary: str, *, goes_on: str = "", has_more_options: bool = False) -> Command:
    """A command whose module has its name."""
    return Command(f"experiments.commands.{name}", summary, "train", goes_on, has_more_options)


def _trainer(summary: str, goes_on: str = "") -> Command:
    """A command of the Trainer, which are one module that is told which."""
    return Command("experiments.commands.trainer", summary, "train", goes_on, has_more_options=True, is_named=True)


PROGRAM = Program(
    "python -m experiments",
    {
        "prepare": _command("prepare", "raw data set -> validated Parquet shards and card.json"),
        "convert": _command("convert", "prepared data -> R2Gen annotation or ReXrank JSON, with films"),
        "models": _command("models", "train the phantom's tiny language model, or fetch the small pretrained models"),
        "fit": _trainer("train a stage (LightningCLI)", GOES_ON),
        "validate": _trainer("validate a checkpoint (LightningCLI)"),
        "test": _trainer("test a checkpoint (LightningCLI)"),
        "predict": _trainer("mine regions, encode reports, or write reports (LightningCLI)"),
        "crossfit": _command("crossfit", "stage 1 by folds, joined for stage 2"),
        "queries": _command("queries", "does disease query i mean finding i: each in each other's place"),
        "ablate": _command(
            "ablate",
            "variants of a stage, run in turn, as one table with intervals",
            goes_on=GOES_ON,
            has_more_options=True,
        ),
        "score": _command("score", "any system's reports -> scores.json, tables with baselines, report.html"),
        "guards": _command("guards", "a run's reports without its films, and without its memories, scored"),
        "describe": _command("describe", "one film -> report, 14 findings with maps, what was retrieved for it"),
        "export": _command("export", "a finished run -> one folder with all it needs and its model card"),
        "runs": _command("runs", "runs in a table, and what differs between some of them"),
        "sweep": _command(
            "sweep",
            "settings of a stage tried by W&B's agents, or a few here without its server",
            has_more_options=True,
        ),
        "slurm": _command("slurm", "stages as Slurm jobs: one script in the run's folder, chained, queued again"),
        "memory": _command("memory", "look into a memory bank, extend it, withdraw a study from it"),
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
    """A cluster's signals end a command as Ctrl-C does; a training saves first (callbacks/run_checkpoint.py)."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, stop)
    sys.exit(main())
