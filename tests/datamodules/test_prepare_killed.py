"""kill -9 at random moments: finished shards stay, and the result equals an uninterrupted run byte for byte."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.runs.lock import LOCK

ROOT = Path(__file__).parents[2]
PREPARE = """
import sys
sys.path.insert(0, {root!r})
from datamodules import shards
from experiments.commands.prepare import main
shards.STUDIES_PER_SHARD, shards.FEW_STUDIES = 2, 0
if __name__ == "__main__":
    main(["--dataset", "phantom", "--out", sys.argv[1], "--size", "128", "--workers", "2",
          "--studies", "train={train},val=6,test=6"])
"""


def contents(folder: Path) -> dict[str, str]:
    """The hash of every file; the lock only by name, since it names the killed process."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts)
    return {
        str(path.relative_to(folder)): "" if path.name == LOCK else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def finished(folder: Path) -> dict[str, tuple[int, int]]:
    """The existing shards, with values that would change if one were written again."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("*-*.parquet")}


def whole(train: int, folder: Path) -> tuple[list[str], float]:
    """Prepare without a kill; returns the command and its seconds."""
    script = folder.parent / "prepare.py"
    script.write_text(PREPARE.format(root=str(ROOT), train=train))
    command = [sys.executable, str(script)]
    started = time.monotonic()
    subprocess.run([*command, str(folder)], check=True, stdout=subprocess.DEVNULL)
    return command, time.monotonic() - started


def killed_once(command: list[str], folder: Path, moment: float) -> bool:
    """Start, wait and kill -9; False if the process had already ended."""
    process = subprocess.Popen([*command, str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


@pytest.mark.parametrize(("train", "kills"), [(40, 2), pytest.param(300, 20, marks=pytest.mark.slow)])
def test_killed_at_random_moments_and_resumed_it_ends_byte_identical(tmp_path, train, kills):
    command, seconds = whole(train, tmp_path / "whole")
    folder, draw = tmp_path / "killed", random.Random(20)
    kept: dict[str, tuple[int, int]] = {}
    hits = 0
    while hits < kills:
        hits += killed_once(command, folder, draw.uniform(0.1, 0.6) * seconds / (1 + hits / 4))
        now = finished(folder)
        assert {name: now[name] for name in kept} == kept  # finished shards are not made again
        kept = now
    subprocess.run([*command, str(folder)], check=True, stdout=subprocess.DEVNULL)
    now = finished(folder)
    assert {name: now[name] for name in kept} == kept
    assert contents(folder) == contents(tmp_path / "whole")
    assert {"card.json", "index.parquet", "contact_sheet.png", "findings.png"} <= contents(folder).keys()


def test_killed_while_the_pictures_are_drawn(tmp_path):
    """If the card exists but a picture is missing, the next call draws it."""
    command, _ = whole(4, tmp_path / "whole")
    before = contents(tmp_path / "whole")
    (tmp_path / "whole" / "findings.png").unlink()
    subprocess.run([*command, str(tmp_path / "whole")], check=True, stdout=subprocess.DEVNULL)
    assert contents(tmp_path / "whole") == before
