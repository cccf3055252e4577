"""One Trainer command, run with known warnings silenced and errors in plain words."""

from __future__ import annotations

import errno
import logging
import shutil
from collections.abc import Sequence

import torch
from jsonargparse import set_parsing_settings
from lightning.pytorch import LightningModule

from ammrg.errors import AMMRGError
from ammrg.notice import NOTICE
from datamodules.studies import StudyDataModule
from experiments.runs.quiet import quiet_lightning
from experiments.training.cli import ExperimentCLI
from experiments.training.settings_parser import SettingsParser


def run(argv: Sequence[str], shown: dict[str, str] | None = None) -> int:
    """Run one Trainer command.

    Args:
        argv: the command and its options, checked by :mod:`experiments.training.words`.
        shown: with ``--help``: ``model`` and ``data`` -> the class whose settings the help shows.

    Returns:
        0, or 2 if the settings cannot be parsed (the parser has printed why).

    Raises:
        AMMRGError: something that the user can correct; the message says how.
    """
    ExperimentCLI.shown = shown
    # Only the help shows the docstrings of fields, and reading them takes time.
    set_parsing_settings(docstring_parse_attribute_docstrings=any("help" in word for word in argv))
    quiet_lightning()
    if shutil.which("nvidia-smi"):
        torch.set_float32_matmul_precision("high")
    # A softmax over thousands of patterns makes denormal numbers, and a CPU multiplies these a hundred times slower.
    # Threads take the setting from the one that starts them, so it comes before the first operation.
    torch.set_flush_denormal(True)
    try:
        with ExperimentCLI.held:
            ExperimentCLI(
                LightningModule,
                StudyDataModule,
                parser_class=SettingsParser,
                subclass_mode_model=True,
                subclass_mode_data=True,
                auto_configure_optimizers=False,
                parser_kwargs={name: {"description": NOTICE} for name in ("fit", "validate", "test", "predict")},
                save_config_callback=None,
                args=list(argv),
            )
    except (AMMRGError, torch.OutOfMemoryError, OSError, ValueError, TypeError) as error:
        plain = _in_plain_words(error)
        if plain is None:
            raise
        # Without this, W&B's messages at exit (about a full disk, for instance) would hide ours.
        logging.raiseExceptions = False
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        raise plain from error.__cause__
    except SystemExit as stop:
        return int(stop.code or 0) if isinstance(stop.code, int) else 1
    return 0


def _in_plain_words(error: BaseException) -> AMMRGError | None:
    """The message for the user about an error or one of its causes; None if no user can correct it.

    The causes matter because jsonargparse wraps the errors of constructors.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, AMMRGError):
            return seen
        if isinstance(seen, torch.OutOfMemoryError):
            return AMMRGError(str(seen))
        if isinstance(seen, OSError) and seen.errno == errno.ENOSPC:
            return AMMRGError(
                f"{seen.filename or 'a file of the run'}: the disk is full; earlier checkpoints are unchanged: free "
                "some space and run the same command again to continue"
            )
        seen = seen.__cause__ or seen.__context__
    return None
