"""Runs a module as ``python -m`` does, and writes what it cost: ``python -P benchmarks/_measured.py COSTS MODULE ...``.

It is run by its path, with the checkout to be measured on PYTHONPATH, so it imports nothing of any checkout. Peak
memory is this process's own since it began (``VmHWM``): that of ``getrusage`` may be the parent's.
"""

from __future__ import annotations

import json
import resource
import runpy
import sys
from pathlib import Path


def main() -> int:
    costs, module, *words = sys.argv[1:]
    sys.argv = [module, *words]
    status = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    found = {
        "cpu_s": sum(each.ru_utime + each.ru_stime for each in used),
        "mib": peak / 1024,
        "torch": float("torch" in sys.modules),
    }
    Path(costs).write_text(json.dumps(found))
    return status


if __name__ == "__main__":
    raise SystemExit(main())
