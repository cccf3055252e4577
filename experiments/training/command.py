"""One Trainer command from its words to its end: warnings silenced, errors in our words."""

from __future__ import annotations

import errno
import logging
import shutil
import warnings
from collections.abc import Sequence

import torch
from jsonargparse import set_parsing_settings
from lightning.pytorch import LightningModule

from ammrg.errors import AMMRGError
from ammrg.notice import NOTICE
from datamodules.studies import StudyDataModule
from experiments.training.cli import ExperimentCLI
from experiments.training.settings_parser import SettingsParser

# Said by Lightning and its peers about choices this project makes on purpose.
QUIET = (
    ".*does not have many workers.*",
    ".*GPU available but not used.*",
    ".*smaller than the logging interval.*",
    ".*recommended to use `self.log.*sync_dist=True.*",  # what is gathered is the same on every process
    ".*callbacks used to create the checkpoint need to be provided.*",  # those of a fit that only look
    ".*The `srun` command is available on your system but is not used.*",
    ".*using `DistributedSampler` with the dataloaders.*",  # StudySampler repeats no study
    ".*LightningCLI's args parameter.*",
    ".*module\\(s\\) in eval mode at the start of training.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*isinstance\\(treespec, LeafSpec\\).*",
    ".*method of metric PointingGame was called before.*",
)


def run(argv: Sequence[str], shown: dict[str, str] | None = None) -> int:
    """Run one Trainer command.

    Args:
        argv: the command, and options that :mod:`experiments.training.words` has looked at.
        shown: where help is wanted: the classes whose settings it shows, ``model`` and ``data``.

    Returns:
        2 where the settings do not parse (the parser has said why).
    """
    ExperimentCLI.shown = shown
    # Fields' own docstrings are for the help alone: reading them takes time.
    set_parsing_settings(docstring_parse_attribute_docstrings=any("help" in word for word in argv))
    for message in QUIET:
        warnings.filterwarnings("ignore", message)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    if shutil.which("nvidia-smi"):
        torch.set_float32_matmul_precision("high")
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
        said = _in_our_words(error)
        if said is None:
            raise
        # W&B's own complaints at exit, of a full disk above all, would bury it.
        logging.raiseExceptions = False
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        raise said from error.__cause__
    except SystemExit as stop:
        return int(stop.code or 0) if isinstance(stop.code, int) else 1
    return 0


def _in_our_words(error: BaseException) -> AMMRGError | None:
    """What a user is told of an error, or of one it was raised from: jsonargparse wraps what a constructor raises. None
    of one that no user can cure."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, AMMRGError):
            return seen
        if isinstance(seen, torch.OutOfMemoryError):
            return AMMRGError(str(seen))
        if isinstance(seen, OSError) and seen.errno == errno.ENOSPC:
            return AMMRGError(
                f"{seen.filename or 'a file of the run'}: the disk is full; checkpoints are as they were: make room, "
                "and the same command goes on"
            )
        seen = seen.__cause__ or seen.__context__
    return None
