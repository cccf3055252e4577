"""How much main memory may still be taken: by the machine, and by the container or job that this process is in."""

from __future__ import annotations

from pathlib import Path

import psutil

V2 = ("memory.max", "memory.current", "inactive_file")
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
"""Files with the limit and the use of a control group, and the part of the use that is given back when asked for."""


def free_memory(root: Path = Path("/")) -> int:
    """Bytes that can be taken without swapping or reaching a limit of the process's control groups (cgroup 1 and 2).

    Docker, Kubernetes and Slurm set such limits; ``psutil`` knows the whole machine only.

    Args:
        root: of the file system.
    """
    free: int = psutil.virtual_memory().available
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return free
    for line in lines:
        _, kinds, place = line.split(":", 2)
        if kinds == "":
            free = min([free, *_left(root / "sys/fs/cgroup", place, V2)])
        elif "memory" in kinds.split(","):
            free = min([free, *_left(root / "sys/fs/cgroup/memory", place, V1)])
    return max(free, 0)


def _left(top: Path, place: str, names: tuple[str, str, str]) -> list[int]:
    """What each group on the way to ``place`` leaves free; a container may see its own group at the top only."""
    limit, used, given_back = names
    inner = top / place.lstrip("/")
    found = []
    for group in (inner, *inner.parents):
        if top not in (group, *group.parents):
            break
        try:
            most, now = (group / limit).read_text().strip(), int((group / used).read_text())
            cached = dict(row.split() for row in (group / "memory.stat").read_text().splitlines()).get(given_back, 0)
            if most != "max":
                found.append(int(most) - now + int(cached))
        except (OSError, ValueError):  # there is no such group, or it has other files
            continue
    return found
