"""A run's logger to Weights & Biases.

Without a login it logs offline. A resumed run stays the same W&B run. If the data are restricted, only numbers go out.
"""

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
"""Most characters of a setting that is sent; longer texts are left out."""


class NumbersOnly(WandbLogger):
    """A logger for restricted data: it refuses everything that is not a number."""

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log metrics.

        Raises:
            SettingsError: a value is not a number.
        """
        for name, value in metrics.items():
            if not isinstance(value, int | float) and not (torch.is_tensor(value) and value.numel() == 1):
                self.refuse(name)
        super().log_metrics(metrics, step)

    def refuse(self, key: str = "", *_: Any, **__: Any) -> NoReturn:
        """Refuse to log tables, texts, images, audio and video.

        Raises:
            SettingsError: always.
        """
        raise SettingsError(f"{key}: these data are restricted; a logger may send only numbers off this machine")

    log_table = log_text = log_image = log_audio = log_video = refuse


def logged_in() -> bool:
    """Whether W&B finds a login on this machine."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").partition("://")[2].strip("/")
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def stable_id(folder: Path) -> str:
    """The run's id at W&B, kept in its folder, so that a resumed or requeued run stays the same run."""
    path = folder / RUN_ID
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(uuid.uuid4().hex[:12] + "\n")
    return path.read_text().strip()


def wandb_logger(folder: Path, mode: Mode, restricted: bool) -> WandbLogger | None:
    """The W&B logger of a run; None if it is off (also with ``WANDB_MODE=disabled``).

    Args:
        folder: of the stage: ``.../dataset/run/stage``.
        mode: ``auto`` is online with a login and else offline; ``wandb sync folder/wandb/offline-run-*`` sends an
            offline run later.
        restricted: send only numbers, and do not capture the console.
    """
    variable = os.environ.get("WANDB_MODE", "")
    if mode == "off" or variable == "disabled":
        return None
    import wandb

    offline = mode == "offline" or variable == "offline" or (mode == "auto" and not logged_in())
    settings = wandb.Settings(
        console="off" if restricted else "auto",
        save_code=False,
        disable_git=restricted,
        x_disable_meta=restricted,  # command line, host and folders
        x_disable_stats=restricted,
        silent=True,
    )
    first = int(rank_zero_only.rank or 0) == 0
    kind = NumbersOnly if restricted else WandbLogger
    logger = kind(
        name="/".join(folder.absolute().parts[-3:]),
        project=os.environ.get("WANDB_PROJECT", PROJECT),
        save_dir=str(folder),
        id=(os.environ.get("WANDB_RUN_ID") or stable_id(folder)) if first else None,  # W&B's agents name their trials
        offline=offline,
        settings=settings,
    )
    logger._wandb_init.pop("anonymous", None)  # Lightning passes it always, and W&B warns where it is passed
    return logger


@contextmanager
def ended(logger: WandbLogger | None) -> Iterator[None]:
    """End the W&B run that a logger starts in this block, as failed if an error leaves the block.

    Otherwise another logger of the same process would continue in the same W&B run.
    """
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
    """The part of a configuration that is sent: numbers, names and short texts.

    If the data are restricted, texts with a path separator are left out, since they may name places on this machine.
    """
    return {
        name: value
        for name, value in settings.items()
        if isinstance(value, int | float | bool)
        or (isinstance(value, str) and len(value) <= LONGEST_TEXT and not (restricted and os.sep in value))
    }
