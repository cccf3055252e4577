"""A check that this machine can do what the Trainer's settings ask for, made before a run starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.accelerators import CPUAccelerator

from ammrg.errors import SettingsError

NOT_TRIED = ("callbacks", "logger", "plugins", "profiler", "default_root_dir")
"""Settings that the trial Trainer does without: objects with their own settings, and folders."""
PROCESSES_A_CORE = 4
"""Most processes per CPU core; more than one lets people try out several processes on a small machine."""
OF_THE_MACHINE = ("accelerator", "devices", "num_nodes", "strategy", "precision")
"""Settings that an error shows, since they depend on the machine."""


def check_machine(requested: Mapping[str, Any]) -> None:
    """Build a Trainer with these settings, without starting it, and refuse what it refuses.

    Args:
        requested: the settings of ``trainer``, by name.

    Raises:
        SettingsError: the Trainer cannot be built; the message names the settings that depend on the machine.
    """
    accelerator = requested["accelerator"]
    if accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise SettingsError(
            f"trainer.accelerator: {accelerator}, but torch finds no GPU on this machine; use cpu, or auto for what "
            "there is"
        )
    plain = {name: value for name, value in requested.items() if name not in NOT_TRIED}
    if not isinstance(plain["strategy"], str):
        plain["strategy"] = "auto"  # an object, which is built later
    try:
        trainer = Trainer(**{**plain, "logger": False, "enable_checkpointing": False, "fast_dev_run": False})
    except (MisconfigurationException, ValueError, TypeError, RuntimeError, ImportError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        settings = ", ".join(f"{name} {requested[name]}" for name in OF_THE_MACHINE)
        raise SettingsError(f"trainer ({settings}): {reason} (this machine has {_machine()})") from error
    most = max(8, PROCESSES_A_CORE * (os.cpu_count() or 1))
    if isinstance(trainer.accelerator, CPUAccelerator) and trainer.num_devices > most:
        raise SettingsError(
            f"trainer.devices: {trainer.num_devices} processes, each with a copy of the network, would overload "
            f"this machine ({_machine()}); use about one per core, at most {most}"
        )


def _machine() -> str:
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return f"{os.cpu_count()} CPU cores and {gpus or 'no'} GPU{'s' if gpus > 1 else ''}"
