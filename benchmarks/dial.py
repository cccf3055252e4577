"""Gathers what a run's reports say at settings of the dial: ``python -m benchmarks.dial RUN``. It writes no reports.

RUN is the folder of a finished run, such as ``outputs/phantom/s0``: its own reports (balanced, 0.5), those in its
``operating_points/SETTING`` (``experiments reports RUN --operating-point SETTING``), and what stage 1 reached at these
settings on validation, from its ``operating_curve.json``. Prints one JSON line, from which :mod:`benchmarks.table`
writes the table of ``docs/describe.md``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ammrg.commands.parser import CommandParser
from ammrg.errors import ScoringError
from ammrg.operating_points import BALANCED, OperatingCurve
from benchmarks._dial_table import KEYS
from benchmarks._result import print_result
from benchmarks.seeds import read, systems

CURVE = "operating_curve.json"


def cases(run: Path) -> Iterator[dict[str, Any]]:
    """A case for each setting, in their order.

    Raises:
        ScoringError: the run, or a setting, has no scores or no curve.
    """
    if not (run / CURVE).is_file():
        raise ScoringError(f"{run / CURVE}: not there; write the run's reports first (make reports)")
    curve = OperatingCurve.from_json(json.loads((run / CURVE).read_text(encoding="utf-8")))
    folders = {float(folder.name): folder for folder in (run / "operating_points").glob("*/")} | {BALANCED: run}
    for setting in sorted(folders):
        scores = systems(read(folders[setting]))["ours"]
        together = curve.together(setting)
        if together is None:
            raise ScoringError(
                f"{run / CURVE}: has no recall and precision of all findings together: there are too few positives, or "
                "an earlier version wrote it, and reports written again (make reports) have them"
            )
        stage1 = dict(zip(("recall", "precision"), together, strict=True))
        yield {"setting": f"{setting:g}", "stage1": stage1, **{key: scores[key] for key in KEYS if key in scores}}


def main(argv: Sequence[str] | None = None) -> int:
    """Gather."""
    parser = CommandParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run")
    try:
        found = list(cases(parser.parse_args(argv).run))
    except ScoringError as error:
        parser.error(str(error))
    print_result("dial", found, {})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
