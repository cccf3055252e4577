"""The job script on a real Slurm of one node (Debian's slurm-wlm and munge), started and stopped here."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path

import pytest
import torch

from ammrg.errors import SettingsError
from benchmarks.kills import borrow_environment
from experiments.__main__ import main
from experiments.launching.slurm import seconds_of, seeds_of

ROOT = Path(__file__).parent.parent
DAEMONS = ("munged", "slurmctld", "slurmd")
WORDS = ["slurm", "--run", "first", "--stage", "all"]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


# --- the script alone ------------------------------------------------------------------------------------------------
def test_slurm_dry_run_prints_one_readable_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = tmp_path / "site.sh"
    site.write_text("module load cuda\n")
    resources = ["--nodes=2", "--gpus=4", "--time=2-00:00:00", "--partition=gpu", "--account=lab", "--cpus=8"]
    words = [*WORDS, "--folder", str(tmp_path / "run"), *resources, f"--site={site}", "--args=--model.lr=1e-4"]
    assert main([*words, "--dry", "DATASET=phantom"]) == 0
    text = capsys.readouterr().out
    for line in (
        *("#SBATCH --nodes=2", "#SBATCH --ntasks-per-node=4", "#SBATCH --gpus-per-node=4", "#SBATCH --requeue"),
        *("#SBATCH --time=2-00:00:00", "#SBATCH --partition=gpu", "#SBATCH --account=lab", "module load cuda"),
        *("#SBATCH --cpus-per-task=8", "#SBATCH --signal=B:USR1@120"),
    ):
        assert line in text.splitlines(), line
    assert "DATASET=phantom DEVICES=4 NODES=2" in text
    assert 'ARGS="--model.lr=1e-4"' in text
    assert not (tmp_path / "run").exists()
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_slurm_seeds_become_an_array_with_a_run_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*WORDS, "--folder", str(tmp_path), "--seeds=0,3-4", "--dry"]) == 0
    text = capsys.readouterr().out
    assert "#SBATCH --array=0,3-4" in text.splitlines()
    assert 'run=first"-seed$SLURM_ARRAY_TASK_ID"' in text
    assert "--seed_everything=$SLURM_ARRAY_TASK_ID" in text
    with pytest.raises(SettingsError, match=r"SEEDS=a: must be seeds"):
        seeds_of("a")


def test_slurm_agents_of_a_sweep_are_an_array(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["slurm", "--run", "first", "--stage", "agents", "--folder", str(tmp_path), "--agents=4", "--dry"]
    assert main([*words, "SWEEP=am-mrg/abc", "COUNT=5"]) == 0
    text = capsys.readouterr().out
    assert "#SBATCH --array=0-3" in text.splitlines()
    assert "SWEEP=am-mrg/abc COUNT=5" in text
    assert main([*words, "--gpus=2"]) == 1
    assert "an agent is one process" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("--time=soon", "TIME=soon: must be a Slurm time"),
        ("--time=2", "TIME=2: too short. A job is told to save 120 s before its limit"),
        ("--time=0-00:05", "TIME=0-00:05: too short. A job is told"),
        ("--site=/no/file.sh", "SITE=/no/file.sh: no such file"),
        ("--site=/bin/ls", "SITE=/bin/ls: not a text file"),
        ("--run=my run", "RUN=my run: must be one word"),
        ("--account=a'b", "ACCOUNT=a'b: must be one word"),
        ("--mem=64 GB", "MEM=64 GB: must be one word"),
        ("--nodes=0", "NODES=0: must be at least 1"),
        ("--gpus=-2", "GPUS=-2: must be at least 0"),
        ("--agents=0", "AGENTS=0: must be at least 1"),
        ("--seeds=4-0", "SEEDS=4-0: must be seeds"),
        ("--seeds=0-2-5", "SEEDS=0-2-5: must be seeds"),
    ],
)
def test_slurm_settings_that_are_none_are_named(
    tmp_path: Path, word: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*WORDS, "--folder", str(tmp_path), word]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("time", "seconds"),
    [("30", 1800), ("30:30", 1830), ("12:00:00", 43200), ("2-00", 172800), ("1-02:03:04", 93784), ("UNLIMITED", inf)],
)
def test_slurm_times_are_read_as_slurm_reads_them(time: str, seconds: float) -> None:
    assert seconds_of(time) == seconds


def test_slurm_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main([*WORDS, "--folder", str(tmp_path)]) == 1
    assert "sbatch: not found; call this on a login node" in capsys.readouterr().err


# --- a real cluster --------------------------------------------------------------------------------------------------
CONF = """
ClusterName=test
SlurmctldHost={host}
SlurmctldPort={controller}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket,cred_expire=5
SlurmUser=root
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=30
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=60
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


def until(true: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"after {seconds:.0f} s still not: {what}"
        time.sleep(0.3)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    missing = [name for name in (*DAEMONS, "sbatch") if shutil.which(name, path="/usr/sbin:/usr/bin") is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: apt-get install slurm-wlm munge")
    if os.geteuid() != 0:
        pytest.skip("a Slurm of our own is started as root")
    root = tmp_path_factory.mktemp("slurm")
    root.chmod(0o755)
    for name in ("state", "spool"):
        (root / name).mkdir()
    host = socket.gethostname().partition(".")[0]
    (root / "slurm.conf").write_text(CONF.format(host=host, root=root, controller=free_port(), node=free_port()))
    key = root / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(root / "slurm.conf")
    munge = [f"--{name}={root}/munge.{end}" for name, end in MUNGE.items()]
    try:
        subprocess.run(["/usr/sbin/munged", "--force", *munge], check=True)
        subprocess.run(["/usr/sbin/slurmctld"], check=True)
        subprocess.run(["/usr/sbin/slurmd"], check=True)
        until(lambda: "idle" in asked("sinfo", "--noheader", "--format=%T"), 60, "node idle")
        yield root
    finally:
        for name in ("slurmd", "slurmctld", "munge"):
            stop(root / f"{name}.pid")
        os.environ.pop("SLURM_CONF")
        if before is not None:
            os.environ["SLURM_CONF"] = before


MUNGE = {
    "key-file": "key",
    "socket": "socket",
    "pid-file": "pid",
    "log-file": "log",
    "seed-file": "seed",
}


def asked(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout


def stop(pid_file: Path) -> None:
    if pid_file.exists():
        pid = int(pid_file.read_text())
        try:
            os.kill(pid, 15)
            until(lambda: not Path(f"/proc/{pid}").exists(), 20, f"{pid_file.stem} stopped")
        except ProcessLookupError:
            pass


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Variables of the Makefile: all in a folder of its own, with the environment that runs the tests."""
    root = tmp_path_factory.mktemp("slurm_runs")
    borrow_environment(root / "venv")
    paths = {"VENV": root / "venv", "OUT": root / "out", "DATA": root / "data", "MODELS": root / "models"}
    return [*(f"{name}={path}" for name, path in paths.items()), "DATASET=phantom", "MODEL=nano", "DEVICES=2"]


def make(*words: str) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    environment |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(["nice", "make", "-C", str(ROOT), *words], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def state(job: str) -> str:
    found = re.search(r"JobState=(\w+)", asked("scontrol", "show", "job", job))
    return found[1] if found else "GONE"


def restarts(job: str) -> int:
    found = re.search(r"Restarts=(\d+)", asked("scontrol", "show", "job", job))
    return int(found[1]) if found else 0


@pytest.mark.slow
def test_slurm_job_requeued_within_stage_2_ends_with_the_weights_of_an_undisturbed_one(
    cluster: Path, place: list[str]
) -> None:
    args = "ARGS=--trainer.max_epochs=4"
    out = Path(next(word for word in place if word.startswith("OUT=")).removeprefix("OUT=")) / "phantom"
    jobs: dict[str, list[str]] = {}
    for run in ("undisturbed", "requeued"):
        shown = make("slurm", "STAGE=all", f"RUN={run}", "TIME=30", args, *place)
        jobs[run] = re.findall(r"stage\d: job (\d+)", shown)
        assert len(jobs[run]) == 2, shown
        log = out / run / "slurm" / f"ammrg-{run}-{jobs[run][1]}.out"
        if run == "requeued":
            last = out / run / "stage2" / "last.ckpt"
            until(last.exists, 500, "stage 2 training")
            asked("scancel", "--batch", "--signal=USR1", jobs[run][1])  # as Slurm does before the time limit
            until(lambda: restarts(jobs["requeued"][1]) == 1, 90, "queued again")
        until(lambda run=run: state(jobs[run][1]) in ("COMPLETED", "FAILED", "CANCELLED"), 500, f"{run} ended")
        assert state(jobs[run][1]) == "COMPLETED", log.read_text()[-3000:]
    told = log.read_text()
    assert "saving a checkpoint after this step" in told
    assert "the job queues again" in told
    assert "continuing from" in told
    for stage in ("stage1", "stage2"):
        one, two = (torch.load(out / run / stage / "last.ckpt", weights_only=True) for run in jobs)
        assert one["global_step"] == two["global_step"] > 0
        same = [
            torch.equal(one["state_dict"][name].nan_to_num(), two["state_dict"][name].nan_to_num())
            for name in one["state_dict"]
        ]
        assert all(same)
    for name in ("reports.jsonl", "scores.json"):
        assert (out / "requeued" / name).read_bytes() == (out / "undisturbed" / name).read_bytes()


@pytest.mark.slow
def test_slurm_job_that_is_preempted_queues_again_and_goes_on(cluster: Path, place: list[str]) -> None:
    out = Path(next(word for word in place if word.startswith("OUT=")).removeprefix("OUT=")) / "phantom" / "preempted"
    many = "ARGS=--trainer.max_epochs=2000 --wandb=off"
    shown = make("slurm", "STAGE=1", "RUN=preempted", "TIME=30", "PARTITION=main", many, *place)
    job = re.findall(r"stage1: job (\d+)", shown)[0]
    last = out / "stage1" / "last.ckpt"
    until(last.exists, 300, "stage 1 training")
    urgent = asked("sbatch", "--parsable", "--partition=urgent", "--exclusive", "--wrap=sleep 5", "--output=/dev/null")
    until(lambda: state(urgent.strip()) == "COMPLETED", 200, "the urgent job done")
    until(
        lambda: restarts(job) == 1 and state(job) == "RUNNING",
        200,
        f"running again: {asked('scontrol', 'show', 'job', job)}",
    )
    log = out / "slurm" / f"ammrg-preempted-{job}.out"
    until(lambda: "continuing from" in log.read_text(), 200, "going on")
    asked("scancel", job)
    assert "SIGTERM: saving a checkpoint after this step" in log.read_text()
    assert "the job queues again" in log.read_text()
