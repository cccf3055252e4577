"""Silences what Lightning says of choices that this project makes on purpose."""

from __future__ import annotations

import logging
import warnings

QUIET = (
    ".*does not have many workers.*",
    ".*GPU available but not used.*",
    ".*smaller than the logging interval.*",
    ".*recommended to use `self.log.*sync_dist=True.*",  # the logged value is the same on every process
    ".*callbacks used to create the checkpoint need to be provided.*",  # callbacks of a fit that keep no state
    ".*The `srun` command is available on your system but is not used.*",
    ".*using `DistributedSampler` with the dataloaders.*",  # StudySampler does not repeat studies
    ".*LightningCLI's args parameter.*",
    ".*module\\(s\\) in eval mode at the start of training.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*isinstance\\(treespec, LeafSpec\\).*",
    ".*method of metric PointingGame was called before.*",
)


def quiet_lightning() -> None:
    """Silence these warnings, and notes about the machine, from now on."""
    for message in QUIET:
        warnings.filterwarnings("ignore", message)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
