"""The JSON line that a benchmark on the CPU prints at its end."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any


def print_result(
    benchmark: str,
    cases: Sequence[Mapping[str, Any]],
    targets: Mapping[str, tuple[float, float]],
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Print the result of a benchmark.

    Args:
        benchmark: its name.
        cases: what was measured.
        targets: claim -> (value, least value that meets it).
        facts: what else belongs to it, such as its settings.
    """
    result = {
        "benchmark": benchmark,
        "cases": cases,
        "targets": {
            claim: {"value": value, "target": target, "met": value >= target}
            for claim, (value, target) in targets.items()
        },
        **({"facts": facts} if facts else {}),
        "machine": {"python": platform.python_version(), "cpus": os.cpu_count(), "system": platform.platform()},
    }
    print(json.dumps(result))
