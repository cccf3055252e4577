"""``python -m experiments COMMAND ...``: all commands of the project.

Light commands, such as ``score``, start without importing Lightning. ``fit``, ``validate``, ``test`` and ``predict`` go
to LightningCLI. People, sweeps and Slurm jobs all use these commands.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from ammrg.notice import NOTICE

# Without these, albumentations looks for a newer version online at import, and tokenizers warns when a loader forks.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

COMMANDS = {
    "prepare": "prepare a raw data set: validated Parquet shards and card.json",
    "convert": "export prepared data as R2Gen or ReXrank JSON, with the films",
    "models": "train the phantom's tiny language model, or fetch the small pretrained models",
    "fit": "train a stage (LightningCLI)",
    "validate": "validate a checkpoint (LightningCLI)",
    "test": "test a checkpoint (LightningCLI)",
    "predict": "run the Trainer's predict: mine regions, encode or write reports (LightningCLI)",
    "crossfit": "join stage 1 trained by folds, for stage 2",
    "queries": "test whether disease query i stands for finding i",
    "ablate": "run variants of a stage and show them in one table with intervals",
    "score": "score any system's reports: scores.json, tables with baselines, report.html",
    "guards": "write and score a run's reports again without its films or its memories",
    "describe": "describe one study: report, 14 findings with maps, what the memories retrieved",
    "export": "write a finished run as one folder with all it needs and its model card",
    "runs": "list the runs in a table, and what differs between some of them",
    "sweep": "try settings of a stage with W&B's agents, or a few here without its server",
    "slurm": "run stages as Slurm jobs, with one script in the run's folder",
    "memory": "show, check and extend memory banks, and withdraw studies from them",
}
"""Command -> what it does. Its module in ``experiments/commands`` has the same name."""
TRAINERS = ("fit", "validate", "test", "predict")
"""Commands of the Trainer; one module runs them all."""
HAND_ON = (*TRAINERS, "ablate", "sweep")
"""Commands that pass further options on to the Trainer."""
GOES_ON = "; the same command goes on from the last checkpoint"
"""What Ctrl-C adds to the message of such a command."""
RESUMED = ("fit", "ablate")
"""Commands that continue where they were stopped."""


def module_of(command: str) -> str:
    """The dotted name of a command's module."""
    return f"experiments.commands.{'trainer' if command in TRAINERS else command}"


def usage() -> str:
    """The text of ``python -m experiments --help``."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "usage: python -m experiments COMMAND [options]    (COMMAND --help lists its options)",
            "",
            *lines,
            "",
            NOTICE,
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 on success, 1 after an error that the user can correct (the message says how), 2 for a wrong call, 130 after
        Ctrl-C.
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
    """Treat a cluster's signals like Ctrl-C; a training saves a checkpoint first (callbacks/run_checkpoint.py)."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, stop)
    sys.exit(main())
