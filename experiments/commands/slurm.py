"""Stages as Slurm jobs: one readable script in the run's folder, submitted once a stage, chained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.parser import CommandParser
from experiments.launching.slurm import STAGES, job_script, submit


def main(argv: Sequence[str]) -> int:
    """Write the script and submit it, or print it."""
    parser = CommandParser(prog="python -m experiments slurm", description=__doc__)
    parser.add_argument("variables", nargs="*", metavar="VAR=VALUE", help="variables of the Makefile for the stages")
    parser.add_argument("--stage", choices=STAGES, default="all")
    parser.add_argument("--folder", type=Path, required=True, help="the run's folder; the script goes into its slurm/")
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--gpus", type=int, default=0, help="of a node, a process each")
    parser.add_argument("--devices", type=int, default=0, help="processes of a node, where it has no GPU")
    parser.add_argument("--cpus", type=int, default=0, help="of a process")
    parser.add_argument("--mem", default="", help="of a node, such as 64G")
    parser.add_argument("--time", default="24:00:00", help="limit of a job; a longer run queues again and goes on")
    parser.add_argument("--partition", default="")
    parser.add_argument("--account", default="")
    parser.add_argument("--site", default="", help="a file with modules and containers")
    parser.add_argument("--seeds", default="", help="0,1,2 or 0-4: an array, a run a seed")
    parser.add_argument("--agents", type=int, default=1, help="of a sweep (--stage agents): an array of so many jobs")
    parser.add_argument("--args", default="", help="of the stages' commands")
    parser.add_argument("--dry", action="store_true", help="print the script, submit nothing")
    options = parser.parse_args(argv)
    path = (options.folder / "slurm" / "job.sh").absolute()
    text = job_script(options, path)
    if options.dry:
        print(text)
        return 0
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    print(path)
    submit(path, STAGES[options.stage], options.seeds)
    return 0
