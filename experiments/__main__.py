"""``python -m experiments COMMAND ...``: the one command of the project.

Light commands (scores, settings) start without Lightning; the Trainer's own (fit, validate, test, predict) go to
LightningCLI, so that a hand, a sweep and a Slurm job speak one grammar.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from ammrg.notice import NOTICE

# albumentations asks the network for a newer version at import, and tokenizers warns when a loader forks.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

COMMANDS = {
    "prepare": "raw data set -> validated Parquet shards and card.json",
    "convert": "prepared data -> R2Gen annotation or ReXrank JSON, with films",
    "models": "train the phantom's tiny language model, or fetch the small pretrained models",
    "fit": "train a stage (LightningCLI)",
    "validate": "validate a checkpoint (LightningCLI)",
    "test": "test a checkpoint (LightningCLI)",
    "predict": "mine regions, encode reports, or write reports (LightningCLI)",
    "crossfit": "stage 1 by folds, joined for stage 2",
    "queries": "does disease query i mean finding i: each in each other's place",
    "ablate": "variants of a stage, run in turn, as one table with intervals",
    "score": "any system's reports -> scores.json, tables with baselines, report.html",
    "guards": "a run's reports without its films, and without its memories, scored",
    "describe": "one film -> report, 14 findings with maps, the memories it leaned on",
    "export": "a finished run -> one folder with all it needs and its model card",
    "runs": "runs in a table, and what differs between some of them",
    "sweep": "settings of a stage tried by W&B's agents, or a few here without its server",
    "slurm": "stages as Slurm jobs: one script in the run's folder, chained, queued again",
    "memory": "look into a memory bank, extend it, withdraw a study from it",
}
"""Command -> what it does; its module in ``experiments/commands`` has its name."""
TRAINERS = ("fit", "validate", "test", "predict")
"""Commands of the Trainer, which are one module."""
HAND_ON = (*TRAINERS, "ablate", "sweep")
"""Commands that take the Trainer's options too."""
GOES_ON = "; the same command goes on from the last checkpoint"
RESUMED = ("fit", "ablate")
"""Commands that go on where they were stopped."""


def module_of(command: str) -> str:
    """The module of a command."""
    return f"experiments.commands.{'trainer' if command in TRAINERS else command}"


def usage() -> str:
    """The text of ``python -m experiments --help``."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "usage: python -m experiments COMMAND [options]    (COMMAND --help tells its options)",
            "",
            *lines,
            "",
            NOTICE,
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 on success, 1 where the user can cure what went wrong (the message says how), 2 for a wrong call,
        130 after Ctrl-C.
    """
    from ammrg.commands.exit_status import exit_status
    from ammrg.commands.parser import unknown_option

    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return 0 if arguments else 2
    command, *rest = arguments
    if command not in COMMANDS:
        print(f"error: unknown command '{command}'; one of: {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    name = module_of(command)
    if command not in HAND_ON and (wrong := unknown_option(name, rest)):
        print(f"error: {wrong} (python -m experiments {command} --help lists all)", file=sys.stderr)
        return 2
    words = arguments if command in TRAINERS else rest
    return exit_status(lambda: importlib.import_module(name).main(words), goes_on=GOES_ON if command in RESUMED else "")


def stop(number: int, frame: FrameType | None) -> None:
    """A cluster's signals end a command as Ctrl-C does; a training saves first (callbacks/run_checkpoint.py)."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, stop)
    sys.exit(main())
