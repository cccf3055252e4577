"""Gathers whether a run's queries mean their findings: ``python -m benchmarks.queries RUN``. It runs no network.

RUN is the folder of a finished run, such as ``outputs/phantom/s0``: what ``python -m experiments queries`` wrote beside
its checkpoint of stage 1, and that stage's scores. Prints one JSON line, from which :mod:`benchmarks.table` writes the
table of ``docs/stage1_measured.md``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from ammrg.commands.parser import CommandParser
from benchmarks._result import print_result

SPLIT = "test"
SWAPS = f"queries_{SPLIT}.json"
KEYS = ("mean_drop", "share_broken", "others_move_at_most")


def gathered(run: Path) -> dict[str, Any]:
    """The scores of the queries and of the maps.

    Raises:
        FileNotFoundError: a file of the run is missing.
    """
    swaps, scores = (json.loads((run / "stage1" / name).read_text(encoding="utf-8")) for name in (SWAPS, "scores.json"))
    return {
        "run": run.name,
        "split": SPLIT,
        "studies": swaps["studies"],
        "peaks": scores[SPLIT]["pointing_game_by_method"],
        "mean_map": scores[SPLIT]["pointing_game_mean_map"],
        "swaps": {
            "auroc": fmean(finding["auroc"] for finding in swaps["findings"].values()),
            **{key: swaps[key] for key in KEYS},
            "not_broken": swaps["not_broken"],
        },
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Gather."""
    parser = CommandParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run")
    run = parser.parse_args(argv).run
    try:
        case = gathered(run)
    except FileNotFoundError as error:
        parser.error(
            f"{error.filename}: not there; write it first (python -m experiments queries {run}/stage1/best.ckpt)"
        )
    print_result("queries", [case], {})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
