"""``python -m experiments slurm``: run stages as Slurm jobs, with one readable script in the run's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.parser import CommandParser
from experiments.launching.slurm import STAGES, launch


def main(argv: Sequence[str]) -> int:
    """Write the job script and submit it, or only print it (``--dry``)."""
    parser = CommandParser(
        prog="python -m experiments slurm",
        description="Run stages as Slurm jobs: one readable script in the run's folder, one job a stage, in order.",
    )
    parser.add_argument("variables", nargs="*", metavar="VAR=VALUE", help="Makefile variables for the stages")
    parser.add_argument("--stage", choices=STAGES, default="all")
    parser.add_argument("--folder", type=Path, required=True, help="the run's folder; slurm/ in it gets the script")
    parser.add_argument("--run", required=True, help="the run's name")
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--gpus", type=int, default=0, help="GPUs of a node, one process each")
    parser.add_argument("--devices", type=int, default=0, help="processes of a node without GPUs")
    parser.add_argument("--cpus", type=int, default=0, help="cores of a process")
    parser.add_argument("--mem", default="", help="memory of a node, such as 64G")
    parser.add_argument("--time", default="24:00:00", help="time limit of a job; a longer run is queued again")
    parser.add_argument("--partition", default="")
    parser.add_argument("--account", default="")
    parser.add_argument("--site", default="", help="a shell file that loads modules and names a container")
    parser.add_argument("--seeds", default="", help="0,1,2 or 0-4: a job array with one run per seed")
    parser.add_argument("--agents", type=int, default=1, help="with --stage agents: array of so many sweep agents")
    parser.add_argument("--args", default="", help="further arguments of the stages' commands")
    parser.add_argument("--dry", action="store_true", help="print the script and submit nothing")
    options = parser.parse_args(argv)
    launch(options)
    return 0
