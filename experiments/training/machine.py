"""What the Trainer is asked to do that it cannot, here or anywhere: said before a run is begun."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.accelerators import CPUAccelerator

from ammrg.errors import SettingsError

OF_OBJECTS = ("callbacks", "logger", "plugins", "profiler", "default_root_dir")
"""Settings that are objects with settings of their own, or that a trial has no use for."""
PROCESSES_A_CORE = 4
"""On a CPU; a few more than one let a person try what many processes do."""
OF_THE_MACHINE = ("accelerator", "devices", "num_nodes", "strategy", "precision")


def check_machine(asked: Mapping[str, Any]) -> None:
    """Build a Trainer of the settings asked for, which starts nothing, and see what it says.

    Args:
        asked: ``trainer`` of the settings, by name.

    Raises:
        SettingsError: it cannot be built; names the settings that speak of the machine.
    """
    accelerator = asked["accelerator"]
    if accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise SettingsError(
            f"trainer.accelerator: {accelerator}, but torch finds no GPU on this machine; take cpu, or auto for what "
            "there is"
        )
    plain = {name: value for name, value in asked.items() if name not in OF_OBJECTS}
    if not isinstance(plain["strategy"], str):
        plain["strategy"] = "auto"  # a class of its own, built later
    try:
        trainer = Trainer(**{**plain, "logger": False, "enable_checkpointing": False, "fast_dev_run": False})
    except (MisconfigurationException, ValueError, TypeError, RuntimeError, ImportError) as error:
        said = " ".join(str(error).split()).rstrip(".")
        settings = ", ".join(f"{name} {asked[name]}" for name in OF_THE_MACHINE)
        raise SettingsError(f"trainer ({settings}): {said} (this machine has {_told()})") from error
    most = max(8, PROCESSES_A_CORE * (os.cpu_count() or 1))
    if isinstance(trainer.accelerator, CPUAccelerator) and trainer.num_devices > most:
        raise SettingsError(
            f"trainer.devices: {trainer.num_devices} processes, each with a copy of the network, would bring this "
            f"machine ({_told()}) to a stand; take about one a core, at most {most}"
        )


def _told() -> str:
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return f"{os.cpu_count()} CPU cores and {gpus or 'no'} GPU{'s' if gpus > 1 else ''}"
