"""``manifest.json``: when, where and with what a stage was made. No other file of a run holds times."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from ammrg.atomic import write_json
from ammrg.fingerprints import file_fingerprint

SESSIONS = "sessions.jsonl"
PACKAGES = ("torch", "lightning", "transformers", "bitsandbytes", "peft", "torchmetrics", "albumentations", "datasets")


def git_state() -> dict[str, Any]:
    """The commit of this code, and whether it was changed since (``dirty``); empty outside a git checkout."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return {}


def begin_session(folder: Path, from_step: int) -> None:
    """Add a line to ``folder/sessions.jsonl``: when, where and at which step a fit starts or continues."""
    job = os.environ.get("SLURM_JOB_ID")
    line = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": platform.node(),
        "from_step": from_step,
        **({"slurm_job": job, "slurm_restarts": int(os.environ.get("SLURM_RESTART_COUNT", "0"))} if job else {}),
    }
    with (folder / SESSIONS).open("a") as file:
        file.write(json.dumps(line) + "\n")


def sessions(folder: Path) -> list[dict[str, Any]]:
    """The lines of ``folder/sessions.jsonl``; empty if there is no such file."""
    path = folder / SESSIONS
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def write_manifest(folder: Path, **facts: Any) -> Path:
    """Write ``folder/manifest.json``.

    It holds versions, machine, code state, the resolved settings, the fingerprints of the checkpoints in the folder,
    the sessions, and the given facts.

    Returns:
        The file's path.
    """
    import torch

    path = Path(folder) / "manifest.json"
    versions = {name: metadata.version(name) for name in PACKAGES}
    machine = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpus": os.cpu_count(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }
    config = path.with_name("config.yaml")
    kept = {
        "versions": versions,
        "machine": machine,
        "code": git_state(),
        "config": yaml.safe_load(config.read_text()) if config.is_file() else {},
        "checkpoints": {each.name: file_fingerprint(each) for each in sorted(path.parent.glob("*.ckpt"))},
        "sessions": sessions(path.parent),
    }
    write_json(path, {**kept, **facts})
    return path
