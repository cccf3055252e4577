"""``ammrg COMMAND ...``, or ``python -m ammrg COMMAND ...``: the commands of the installed package."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ammrg.commands.program import Command, Program

PROGRAM = Program(
    "ammrg",
    {
        "score": Command(
            "ammrg.commands.score", "any system's reports -> scores.json, tables with baselines, report.html", "models"
        ),
        "describe": Command(
            "ammrg.commands.describe", "films of a study -> report, 14 findings with maps, retrieved reports", "models"
        ),
        "archive": Command(
            "ammrg.commands.archive",
            "new chest studies of a DICOMweb archive -> reports and maps, stored back into it",
            "dicom",
            goes_on="; the same command goes on where it stopped",
        ),
        "serve": Command("ammrg.commands.serve", "a service that describes studies over HTTP", "serve"),
        "demo": Command("ammrg.commands.demo", "a page on this machine, to try a model on studies", "demo"),
    },
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command of :data:`PROGRAM`.

    Args:
        argv: the words after ``ammrg``; None: those of this process.

    Returns:
        The exit status, see :meth:`ammrg.commands.program.Program.run`.
    """
    return PROGRAM.run(sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
