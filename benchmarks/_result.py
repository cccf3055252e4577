"""The JSON line that a benchmark on the CPU prints at its end."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any


def print_result(
    benchmark: str, cases: Sequence[Mapping[str, Any]], targets: Mapping[str, tuple[float, float]]
) -> None:
    """Print the result of a benchmark.

    Args:
        benchmark: its name.
        cases: what was measured.
        targets: claim -> (value, least value that meets it).
    """
    result = {
        "benchmark": benchmark,
        "cases": cases,
        "targets": {
            claim: {"value": value, "target": target, "met": value >= target}
            for claim, (value, target) in targets.items()
        },
        "machine": {"python": platform.python_version(), "cpus": os.cpu_count(), "system": platform.platform()},
    }
    print(json.dumps(result))
