"""Energy that a run used, from the counters of CPU packages and GPUs that the machine lets us read."""

from __future__ import annotations

from pathlib import Path

import torch

RAPL = Path("/sys/class/powercap")
KILOWATT_HOUR = 3.6e6
"""Joules."""


def counters() -> dict[str, tuple[float, float]]:
    """Read the energy counters of this machine.

    On most Linux machines only root may read those of the CPU (RAPL); those of GPUs need the package nvidia-ml-py.

    Returns:
        Counter -> (joules so far, joules at which it starts again from 0, or 0 if it never does). Empty if none can be
        read.
    """
    found: dict[str, tuple[float, float]] = {}
    for package in sorted(RAPL.glob("intel-rapl:[0-9]")):
        try:
            values = [float((package / name).read_text()) for name in ("energy_uj", "max_energy_range_uj")]
        except (OSError, ValueError):
            continue
        found[f"cpu{package.name.rpartition(':')[2]}"] = (values[0] / 1e6, values[1] / 1e6)
    if torch.cuda.is_available():
        try:
            import pynvml

            pynvml.nvmlInit()
            for number in range(torch.cuda.device_count()):
                handle = pynvml.nvmlDeviceGetHandleByIndex(number)
                found[f"gpu{number}"] = (pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3, 0.0)
        except Exception:  # the package is not installed, or the GPU has no counter
            return found
    return found


def kilowatt_hours(before: dict[str, tuple[float, float]], after: dict[str, tuple[float, float]]) -> dict[str, float]:
    """Kilowatt hours between two readings of :func:`counters`; assumes that a counter restarts at most once."""
    used = {}
    for name, (start, whole) in before.items():
        if name in after:
            joules = after[name][0] - start
            used[name] = (joules + whole if joules < 0 else joules) / KILOWATT_HOUR
    return used
