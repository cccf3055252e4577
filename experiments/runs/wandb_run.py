"""A run's logger to Weights & Biases: offline without a login, one run however often it is resumed, numbers alone where
data are restricted."""

from __future__ import annotations

import netrc
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NoReturn

import torch
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from ammrg.errors import SettingsError

Mode = Literal["auto", "online", "offline", "off"]
PROJECT = "am-mrg"
RUN_ID = "wandb_id.txt"
LONGEST_TEXT = 300
"""Of a setting in the configuration that is sent; a text that is longer is none."""


class NumbersOnly(WandbLogger):
    """For restricted data: what is not a number does not leave the machine, whoever asks."""

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """
        Raises:
            SettingsError: something that is not a number.
        """
        for name, value in metrics.items():
            if not isinstance(value, int | float) and not (torch.is_tensor(value) and value.numel() == 1):
                self.refuse(name)
        super().log_metrics(metrics, step)

    def refuse(self, key: str = "", *_: Any, **__: Any) -> NoReturn:
        """
        Raises:
            SettingsError: always.
        """
        raise SettingsError(f"{key}: these data are restricted; only numbers may go to a logger off this machine")

    log_table = log_text = log_image = log_audio = log_video = refuse


def logged_in() -> bool:
    """Whether W&B would know who we are."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").partition("://")[2].strip("/")
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def stable_id(folder: Path) -> str:
    """The run's id at W&B, kept in its folder: a resumed or requeued run is the same run."""
    path = folder / RUN_ID
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(uuid.uuid4().hex[:12] + "\n")
    return path.read_text().strip()


def wandb_logger(folder: Path, mode: Mode, restricted: bool) -> WandbLogger | None:
    """The logger of a run, or None where it is off (``WANDB_MODE=disabled`` too).

    Args:
        folder: of the run's stage: ``.../dataset/run/stage``.
        mode: ``auto`` is online where W&B knows a login, else offline: ``wandb sync folder/wandb/offline-run-*`` sends
            it later.
        restricted: send numbers only, and do not capture the console.
    """
    asked = os.environ.get("WANDB_MODE", "")
    if mode == "off" or asked == "disabled":
        return None
    import wandb

    offline = mode == "offline" or asked == "offline" or (mode == "auto" and not logged_in())
    settings = wandb.Settings(
        console="off" if restricted else "auto",
        save_code=False,
        disable_git=restricted,
        x_disable_meta=restricted,  # the command line, host and folders
        x_disable_stats=restricted,
        silent=True,
    )
    first = int(rank_zero_only.rank or 0) == 0
    kind = NumbersOnly if restricted else WandbLogger
    return kind(
        name="/".join(folder.absolute().parts[-3:]),
        project=os.environ.get("WANDB_PROJECT", PROJECT),
        save_dir=str(folder),
        id=(os.environ.get("WANDB_RUN_ID") or stable_id(folder)) if first else None,  # an agent names its trials
        offline=offline,
        settings=settings,
    )


@contextmanager
def ended(logger: WandbLogger | None) -> Iterator[None]:
    """End the run that a logger begins in here, as failed where an error leaves: another logger of the same process
    would go on in it."""
    exit_code = 1
    try:
        yield
        exit_code = 0
    finally:
        if logger is not None:
            import wandb

            if wandb.run is not None and wandb.run.id == logger.version:
                wandb.run.finish(exit_code=exit_code)


def sent_config(settings: Mapping[str, Any], restricted: bool) -> dict[str, Any]:
    """A configuration as it is sent: numbers, names and short texts; of restricted data no place on this machine, nor
    anything else with a path's separator."""
    return {
        name: value
        for name, value in settings.items()
        if isinstance(value, int | float | bool)
        or (isinstance(value, str) and len(value) <= LONGEST_TEXT and not (restricted and os.sep in value))
    }
