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

# albumentations asks the network for a newer version at import, and tokenizers warns when a loader forks.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

COMMANDS: dict[str, tuple[str, str]] = {
    "prepare": ("experiments.prepare", "raw data set -> validated Parquet shards and card.json"),
    "convert": ("experiments.convert", "prepared data -> R2Gen annotation or ReXrank JSON, with films"),
    "models": ("experiments.models", "train the phantom's tiny language model, or fetch the small pretrained models"),
    "fit": ("experiments.trainer_words", "train a stage (LightningCLI)"),
    "validate": ("experiments.trainer_words", "validate a checkpoint (LightningCLI)"),
    "test": ("experiments.trainer_words", "test a checkpoint (LightningCLI)"),
    "predict": ("experiments.trainer_words", "mine regions, encode reports, or write reports (LightningCLI)"),
    "crossfit": ("experiments.crossfit", "stage 1 by folds, joined for stage 2"),
    "queries": ("experiments.queries", "does disease query i mean finding i: each in each other's place"),
    "ablate": ("experiments.ablate", "variants of a stage, run in turn, as one table with intervals"),
    "score": ("experiments.score", "any system's reports -> scores.json, tables with baselines, report.html"),
    "guards": ("experiments.guards", "a run's reports without its films, and without its memories, scored"),
    "describe": ("experiments.describe", "one film -> report, 14 findings with maps, the memories it leaned on"),
    "export": ("experiments.export", "a finished run -> one folder with all it needs and its model card"),
    "runs": ("experiments.runs", "runs in a table, and what differs between some of them"),
    "sweep": ("experiments.sweep", "settings of a stage tried by W&B's agents, or a few here without its server"),
    "slurm": ("experiments.submit", "stages as Slurm jobs: one script in the run's folder, chained, queued again"),
    "memory": ("experiments.memory", "look into a memory bank, extend it, withdraw a study from it"),
}

HAND_ON = ("fit", "validate", "test", "predict", "ablate", "sweep")
"""Commands that take the Trainer's options too."""
RESUMED = ("fit", "ablate")
"""Commands that go on where they were stopped."""

STOPPED = 130
"""Exit status after Ctrl-C, or a cluster's signal."""
NOTICE = "Research use only. Not a medical device; no report may guide the care of a person."


def usage() -> str:
    """The text of ``python -m experiments --help``."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, (_, what) in COMMANDS.items()]
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
    from ammrg.errors import AMMRGError
    from experiments.command_parser import unknown_option

    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return 0 if arguments else 2
    command, *rest = arguments
    if command not in COMMANDS:
        print(f"error: unknown command '{command}'; one of: {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    module_name, _ = COMMANDS[command]
    if command not in HAND_ON and (wrong := unknown_option(module_name, rest)):
        print(f"error: {wrong} (python -m experiments {command} --help lists all)", file=sys.stderr)
        return 2
    try:
        module = importlib.import_module(module_name)
        result = module.main([command, *rest] if module_name == "experiments.trainer_words" else rest)
    except AMMRGError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        goes_on = "; the same command goes on from the last checkpoint" if command in RESUMED else ""
        print(f"\nstopped{goes_on}", file=sys.stderr)
        return STOPPED
    return int(result or 0)


def went_well(argv: Sequence[str]) -> bool:
    """Run one command within another; Ctrl-C ends both.

    Returns:
        Whether it went well; a command that failed has said why.
    """
    code = main(argv)
    if code == STOPPED:
        raise KeyboardInterrupt
    return code == 0


def stop(number: int, frame: FrameType | None) -> None:
    """A cluster's signals end a command as Ctrl-C does; a training saves first (callbacks/run_checkpoint.py)."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, stop)
    sys.exit(main())
