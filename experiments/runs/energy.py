"""Energy that a run took, where the machine lets it be read: the CPU packages' and the GPUs' own counters."""

from __future__ import annotations

from pathlib import Path

import torch

RAPL = Path("/sys/class/powercap")
KILOWATT_HOUR = 3.6e6
"""Joules."""


def counters() -> dict[str, tuple[float, float]]:
    """Counter -> (joules so far, joules at which it begins again; 0 = never). Empty where none can be read: RAPL is
    for root alone on most Linux machines, GPUs need the package nvidia-ml-py."""
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
        except Exception:  # no package, or a GPU that does not count
            return found
    return found


def kilowatt_hours(before: dict[str, tuple[float, float]], after: dict[str, tuple[float, float]]) -> dict[str, float]:
    """What each counter went up by; a counter that began again is taken to have done so once."""
    used = {}
    for name, (start, whole) in before.items():
        if name in after:
            joules = after[name][0] - start
            used[name] = (joules + whole if joules < 0 else joules) / KILOWATT_HOUR
    return used
