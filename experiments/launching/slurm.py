"""Stages as Slurm jobs: one readable script in the run's folder, submitted once per stage, in order."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from string import Template

from ammrg.errors import SettingsError

ROOT = Path(__file__).parents[2]
TEMPLATE = Path(__file__).parents[1] / "slurm" / "job.sh"
STAGES = {"1": ["stage1"], "2": ["stage2"], "all": ["stage1", "stage2"], "agents": ["agent"]}
NOTICE_SECONDS = 120
"""How long before the time limit a job is signalled, to finish its step and save a checkpoint.

Slurm may signal up to a minute early.
"""
SHORTEST_SECONDS = 600
"""Shortest time limit of a job; starting and saving would leave a shorter job no time to train."""
MOST_RESTARTS = 200
"""Most times a job is queued again; without a limit, a job that makes no progress would queue for ever."""
TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<first>\d+)(?::(?P<second>\d\d))?(?::(?P<third>\d\d))?|UNLIMITED|INFINITE")
SEEDS = re.compile(r"(\d+)(?:-(\d+))?")
WORD = re.compile(r"[^\s\"'`$\\]+")


def seeds_of(text: str) -> str:
    """Check the seeds of a job array: ``0,1,2``, ``0-4`` or nothing.

    Raises:
        SettingsError: the text is none of these.
    """
    parts = [SEEDS.fullmatch(part) for part in text.split(",")] if text else []
    if not all(part and int(part[2] or part[1]) >= int(part[1]) for part in parts):
        raise SettingsError(f"SEEDS={text}: must be seeds such as 0,1,2 or a range such as 0-4")
    return text


def seconds_of(time: str) -> float:
    """Seconds of a Slurm time limit; infinity for ``UNLIMITED``.

    Slurm reads minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes and so on.

    Raises:
        SettingsError: the text is no Slurm time, or too short for the signal before the limit.
    """
    found = TIME.fullmatch(time)
    if not found:
        raise SettingsError(f"TIME={time}: must be a Slurm time such as 30 (minutes), 12:00:00 or 2-00:00:00")
    if found["first"] is None:
        return float("inf")
    parts = [int(found[name]) for name in ("first", "second", "third") if found[name] is not None]
    if found["days"] is not None:
        hours, minutes, seconds = [*parts, 0, 0][:3]
        total = ((int(found["days"]) * 24 + hours) * 60 + minutes) * 60 + seconds
    elif len(parts) == 3:
        total = (parts[0] * 60 + parts[1]) * 60 + parts[2]
    else:
        total = parts[0] * 60 + (parts[1] if len(parts) == 2 else 0)
    if total < SHORTEST_SECONDS:
        raise SettingsError(
            f"TIME={time}: too short. A job is told to save {NOTICE_SECONDS} s before its limit, so this one "
            f"would be queued again and again; give it {SHORTEST_SECONDS // 60} minutes or more"
        )
    return float(total)


def check(options: argparse.Namespace) -> None:
    """Refuse options that Slurm would refuse, or that would queue a job again and again.

    Raises:
        SettingsError: names the first wrong option.
    """
    for name, least in (("nodes", 1), ("agents", 1), ("gpus", 0), ("devices", 0), ("cpus", 0)):
        if getattr(options, name) < least:
            raise SettingsError(f"{name.upper()}={getattr(options, name)}: must be at least {least}")
    for name in ("run", "account", "partition", "mem"):
        value = getattr(options, name)
        if value and not WORD.fullmatch(value):
            raise SettingsError(f"{name.upper()}={value}: must be one word, without spaces and quotes")
    seconds_of(options.time)


def job_script(options: argparse.Namespace, path: Path) -> str:
    """The text of the job script.

    Raises:
        SettingsError: the time, the seeds or another option is wrong, or the site file does not exist.
    """
    check(options)
    site = "# none"
    if options.site:
        if not Path(options.site).is_file():
            raise SettingsError(f"SITE={options.site}: no such file; experiments/slurm/site_example.sh shows one")
        try:
            site = Path(options.site).read_text().strip()
        except UnicodeDecodeError as error:
            raise SettingsError(
                f"SITE={options.site}: not a text file; experiments/slurm/site_example.sh shows one"
            ) from error
    processes = options.gpus or options.devices or 1
    if options.stage == "agents" and processes * options.nodes > 1:
        raise SettingsError("STAGE=agents: an agent is one process; for several at once set AGENTS, not GPUS or NODES")
    array = f"0-{options.agents - 1}" if options.stage == "agents" else seeds_of(options.seeds)
    log = "%x-%A_%a.out" if array else "%x-%j.out"
    given = {
        "job-name": f"ammrg-{options.run}",
        "nodes": options.nodes,
        "ntasks-per-node": processes,
        "cpus-per-task": options.cpus,
        "gpus-per-node": options.gpus,
        "mem": options.mem,
        "time": options.time,
        "partition": options.partition,
        "account": options.account,
        "array": array,
        "output": path.parent / log,
    }
    run, args = shlex.quote(options.run), options.args
    if options.seeds and options.stage != "agents":
        run = f'{run}"-seed$SLURM_ARRAY_TASK_ID"'
        args = f"{args} --seed_everything=$SLURM_ARRAY_TASK_ID".strip()
    variables = [*options.variables, f"DEVICES={processes}", f"NODES={options.nodes}"]
    return Template(TEMPLATE.read_text()).substitute(
        title=f"Stages of run {options.run} as Slurm jobs, {options.nodes} x {processes} processes.",
        path=path,
        sbatch="\n".join(f"#SBATCH --{name}={value}" for name, value in given.items() if value),
        notice=NOTICE_SECONDS,
        root=shlex.quote(str(ROOT)),
        site=site,
        run=run,
        variables=" ".join(map(shlex.quote, variables)),
        args=args.replace('"', '\\"'),
        restarts=MOST_RESTARTS,
    )


def launch(options: argparse.Namespace) -> None:
    """Write the job script to ``FOLDER/slurm/job.sh`` and submit it; with ``--dry`` only print it.

    Args:
        options: those of ``python -m experiments slurm``.

    Raises:
        SettingsError: an option is wrong, or Slurm is not installed here or refuses a job.
    """
    path = (options.folder / "slurm" / "job.sh").absolute()
    text = job_script(options, path)
    if options.dry:
        print(text)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    print(path)
    submit(path, STAGES[options.stage], options.seeds)


def submit(path: Path, stages: Sequence[str], seeds: str) -> list[str]:
    """Submit one job per stage; each starts after the stage before it has succeeded (in an array: for its own seed).

    Returns:
        Job ids.

    Raises:
        SettingsError: Slurm is not installed here, or refuses a job.
    """
    if shutil.which("sbatch") is None:
        raise SettingsError("sbatch: not found; call this on a login node of the cluster, or use DRY=1 to look first")
    jobs: list[str] = []
    for stage in stages:
        after = [f"--dependency={'aftercorr' if seeds else 'afterok'}:{jobs[-1]}"] if jobs else []
        command = ["sbatch", "--parsable", *after, "--kill-on-invalid-dep=yes", str(path), stage]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SettingsError(f"{shlex.join(command)}: {done.stderr.strip()}")
        jobs.append(done.stdout.strip().partition(";")[0])
        print(f"{stage}: job {jobs[-1]}{f' after job {jobs[-2]}' if len(jobs) > 1 else ''}")
    return jobs
