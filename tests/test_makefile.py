"""The Makefile's promises: help, dependencies, clear errors where Python is not as it must be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ammrg.metrics.rewards import REWARDS
from experiments.data.preparation import DATASETS

ROOT = Path(__file__).parent.parent
TARGETS = (
    *("help", "env", "lock", "data", "models", "stage1", "memories", "quick", "stage2"),
    *(
        "reports",
        "scores",
        "guards",
        "describe",
        "serve",
        "demo",
        "export",
        "ablation",
        "sweep",
        "slurm",
        "test",
        "check",
        "bench",
        "bench-run",
        "docs",
    ),
)

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")} | variables
    return subprocess.run(["make", "-C", str(ROOT), *arguments], capture_output=True, text=True, env=environment)


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_help_lists_every_target() -> None:
    shown = make("help").stdout
    for target in TARGETS:
        assert f"make {target}" in shown
    assert "Research use only" in shown


@pytest.mark.parametrize("word", ["RUN=my run", "OUT=", "DATA=a b"])
def test_names_with_spaces_are_refused(word: str) -> None:
    done = make("-n", "stage1", word)
    assert done.returncode != 0
    assert "must be one word, without spaces" in done.stderr


@pytest.mark.parametrize("folds", ["0", "1", "abc", "-2"])
def test_folds_must_be_a_number_of_them(folds: str) -> None:
    done = make("-n", "stage2", f"FOLDS={folds}")
    assert done.returncode != 0
    assert f"FOLDS={folds}: must be a whole number of at least 2" in done.stderr


def test_a_finished_run_has_its_own_folds(tmp_path: Path) -> None:
    place = (f"OUT={tmp_path}", "RUN=done")
    asked = make("-n", "stage2", "FOLDS=3", *place).stdout
    assert asked.count("--data.left_out_fold=") == 3
    assert "--model.cross_fit=" in asked
    kept = tmp_path / "phantom" / "done" / "stage2" / ".settings"
    kept.parent.mkdir(parents=True)
    kept.write_text("DATASET=phantom MODEL=tiny FOLDS=3\n\n")
    followed = make("-n", "stage2", *place).stdout
    assert f"--model.cross_fit={tmp_path}/phantom/done/cross_fit_3" in followed
    assert "left_out_fold" not in followed  # it may be gone once stage 2 is trained
    for folds, kind in (("2", "with FOLDS=3"), ("3", "without folds")):
        done = make("-n", "stage2", f"FOLDS={folds}", *place)
        assert f"FOLDS={folds}: stage 2 of RUN=done was trained {kind}" in done.stderr
        kept.write_text("DATASET=phantom MODEL=tiny\n\n")


def test_a_finished_run_needs_neither_its_data_set_nor_its_model(tmp_path: Path) -> None:
    stamp = tmp_path / "venv" / ".stamp"
    stamp.parent.mkdir()
    stamp.touch()
    (tmp_path / "film.png").touch()
    place = (f"VENV={tmp_path}/venv", f"OUT={tmp_path}/out", "RUN=mine", f"DATA={tmp_path}/data")
    stage2 = tmp_path / "out" / "iu_xray" / "mine" / "stage2"
    stage2.mkdir(parents=True)
    (stage2 / ".settings").write_text("DATASET=iu_xray MODEL=small\n\n")
    (stage2 / "manifest.json").touch()
    (stage2 / "best.ckpt").touch()
    folder = f"{tmp_path}/out/iu_xray/mine"
    for goal, command in {
        "scores": f"score {folder}/reports.jsonl",
        "reports": f"predict -c {folder}/stage2/config.yaml",
        "guards": f"guards {folder}",
        "export": f"export {folder}",
        "describe": f"--run {folder}",
        "predict": f"--run {folder} --lateral 2",
        "serve": f"serve --run {folder}",
        "demo": f"demo --run {folder}",
    }.items():
        words = [f"IMAGE={tmp_path}/film.png", "ARGS=--lateral 2"] if goal in ("describe", "predict") else []
        asked = make("-n", goal, *place, *words).stdout
        assert command in asked
        assert "prepare" not in asked, goal
        assert " fit " not in asked, goal
    # Asked for by name, the settings are compared; and what trains is never guessed.
    assert " fit " in make("-n", "scores", "MODEL=tiny", *place).stdout
    assert "--dataset phantom" in make("-n", "stage2", *place).stdout
    other = tmp_path / "out" / "r2gen" / "mine" / "stage2"
    other.mkdir(parents=True)
    (other / "manifest.json").touch()
    assert "RUN=mine: there is one of iu_xray r2gen; name its DATASET=" in make("-n", "scores", *place).stderr


@pytest.mark.parametrize("goal", ["reports", "scores", "guards", "describe", "predict", "serve", "demo", "export"])
def test_a_run_that_does_not_exist_is_not_trained_for_its_name_alone(tmp_path: Path, goal: str) -> None:
    (tmp_path / "film.png").touch()
    place = (f"OUT={tmp_path}/out", f"IMAGE={tmp_path}/film.png")
    first = make("-n", goal, "RUN=frist", *place)
    assert f"RUN=frist: no such run in {tmp_path}/out; there is none yet: make stage2 trains one." in first.stderr
    for run in ("phantom/first/stage1", "iu_xray/second/stage2", "r2gen/second/stage1"):
        (tmp_path / "out" / run).mkdir(parents=True)
    done = make("-n", goal, "RUN=frist", *place)
    assert done.returncode != 0
    assert "RUN=frist: no such run in " in done.stderr
    assert "out; did you mean first? one of first second." in done.stderr
    assert "experiments" not in done.stdout  # nothing would be run
    unnamed = make("-n", goal, *place)
    assert "RUN=default: no such run in " in unnamed.stderr
    assert "experiments" not in unnamed.stdout
    for words, said in {
        ("MODEL=nano",): "out; did you mean first? one of first second.",
        ("DATASET=phantom", "MODEL=nano"): "out/phantom; did you mean first? one of first.",
        ("DATASET=csv",): "out/csv; there is none yet: make stage2 trains one.",
    }.items():
        named = make("-n", goal, "RUN=frist", *words, *place)
        assert f"RUN=frist: no such run in {tmp_path}/{said}" in named.stderr
        assert "experiments" not in named.stdout, words
    other = make("-n", goal, "RUN=first", "DATASET=csv", *place)
    assert "out/csv; there is one of phantom; name its DATASET=" in other.stderr
    for words in (["MODEL=nano"], ["DATASET=iu_xray"]):
        assert " fit " in make("-n", goal, *words, *place).stdout, words


@pytest.mark.parametrize("goal", ["scores", "demo"])
def test_a_run_that_is_not_finished_does_not_go_on_with_the_defaults(tmp_path: Path, goal: str) -> None:
    stage1 = tmp_path / "csv" / "tri" / "stage1"
    stage1.mkdir(parents=True)
    place = (f"OUT={tmp_path}", "RUN=tri")
    begun = make("-n", goal, *place)
    told = (
        "RUN=tri: not finished (csv); go on with make stage2 DATASET=csv RUN=tri and the MODEL= that it was begun with."
    )
    assert told in begun.stderr
    (stage1 / ".settings").write_text("DATASET=csv MODEL=nano\n\n")
    for words in ([], ["DATASET=csv"]):
        known = make("-n", goal, *words, *place)
        told = "RUN=tri: not finished (csv, nano); go on with make stage2 DATASET=csv MODEL=nano RUN=tri."
        assert told in known.stderr
        assert "experiments" not in known.stdout
    shown = make("-n", goal, "MODEL=nano", *place).stdout
    assert "fit -c experiments/configs/stage2/default.yaml -c experiments/configs/data/csv.yaml" in shown
    assert "phantom.yaml" not in shown


def test_if_no_run_is_named_the_one_finished_last_is_used_and_named(tmp_path: Path) -> None:
    stamp = tmp_path / "venv" / ".stamp"
    stamp.parent.mkdir()
    stamp.touch()
    place = (f"VENV={tmp_path}/venv", f"OUT={tmp_path}/out")

    def finish(run: str, when: int) -> None:
        folder = tmp_path / "out" / run
        (folder / "stage2").mkdir(parents=True)
        for name in ("stage2/manifest.json", "stage2/best.ckpt", "reports.meta.json"):
            (folder / name).touch()
            os.utime(folder / name, (when, when))

    finish("csv/mine", 1_000)
    alone = make("-n", "demo", *place).stdout
    assert f"demo --run {tmp_path}/out/csv/mine" in alone
    assert "using the run" not in alone  # there is no other
    finish("phantom/default", 900)
    several = make("-n", "demo", *place).stdout
    assert "using the run that was finished last: DATASET=csv RUN=mine\n" in several
    assert f"demo --run {tmp_path}/out/csv/mine" in several
    assert f"demo --run {tmp_path}/out/phantom/default" in make("-n", "demo", "RUN=default", *place).stdout
    finish("csv/mine/reward", 2_000)
    rewarded = make("-n", "demo", *place).stdout
    assert "DATASET=csv RUN=mine REWARD=1\n" in rewarded
    assert f"demo --run {tmp_path}/out/csv/mine/reward" in rewarded
    assert f"{tmp_path}/out/phantom/default" in make("-n", "stage2", *place).stdout  # what trains is never guessed


def test_args_are_looked_at_before_anything_is_built(tmp_path: Path) -> None:
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    script(tmp_path / "venv" / "bin" / "python", f'exec {sys.executable} "$@"')
    (tmp_path / "venv" / ".stamp").touch()
    place = [f"VENV={tmp_path}/venv", f"OUT={tmp_path}/out", f"DATA={tmp_path}/data", f"MODELS={tmp_path}/models"]
    wrong = make("-n", "stage2", "ARGS=--model.network.hopfield.bta=8 --model.lr=1e-3", *place)
    assert "ARGS: " in wrong.stderr
    assert "model.network.hopfield.bta" in wrong.stderr
    assert "beta" in wrong.stderr
    assert " fit " not in wrong.stdout
    right = make("-n", "stage2", "ARGS=--model.network.hopfield.beta=8 --trainer.max_epochs=2", *place)
    assert "--model.network.hopfield.beta=8" in right.stdout
    assert "ARGS: " in make("-n", "stage1", "ARGS=--model.networks=3", *place).stderr
    assert "ARGS: " in make("-n", "memories", "ARGS=--model.pool=mean", *place).stderr
    assert not make("-n", "memories", "ARGS=--model.pooling=mean", *place).stderr
    for word in ("--help", "--model.help=lightning_modules.report_generation.ReportGeneration"):
        assert word in make("-n", "stage2", f"ARGS={word}", *place).stdout  # help is no wrong option


def test_missing_python_is_named(tmp_path: Path) -> None:
    done = make("env", f"VENV={tmp_path}/venv", "PYTHON=no-such-python")
    assert done.returncode != 0
    assert "no-such-python not found; set PYTHON=" in done.stderr


def test_old_python_is_named(tmp_path: Path) -> None:
    old = script(tmp_path / "python", 'test "$1" = --version && echo Python 3.8.1 && exit 0; exit 1')
    done = make("env", f"VENV={tmp_path}/venv", f"PYTHON={old}")
    assert done.returncode != 0
    assert "Python 3.8.1 is too old" in done.stderr


def test_python_without_venv_is_named(tmp_path: Path) -> None:
    bare = script(tmp_path / "python", 'case "$2" in *venv*) exit 1;; *) exit 0;; esac')
    done = make("env", f"VENV={tmp_path}/venv", f"PYTHON={bare}")
    assert done.returncode != 0
    assert "comes without venv; install it" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_uv_is_told_pips_index(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    script(tmp_path / "bin" / "uv", f"env > {tmp_path}/seen")
    places = {"PIP_INDEX_URL": "https://packages.example/simple", "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    done = make("lock", f"PYTHON={sys.executable}", **places)
    assert done.returncode == 0, done.stderr
    seen = (tmp_path / "seen").read_text().splitlines()
    assert "UV_DEFAULT_INDEX=https://packages.example/simple" in seen


def test_stage2_runs_all_that_is_missing_before_it(tmp_path: Path) -> None:
    stamp = tmp_path / "venv" / ".stamp"
    stamp.parent.mkdir()
    stamp.touch()
    paths = [f"VENV={tmp_path}/venv", f"OUT={tmp_path}/out", f"DATA={tmp_path}/data", f"MODELS={tmp_path}/models"]
    lines = make("-n", "stage2", *paths).stdout
    steps = [
        "prepare --dataset phantom",
        "fit -c experiments/configs/stage1",
        "stage1/best.ckpt",
        "models phantom",
        "predict -c experiments/configs/memory",
        "fit -c experiments/configs/stage2",
        "stage2/best.ckpt",
        "score ",
    ]
    for step in steps:
        assert step in lines, step
    assert "ARGS" not in lines


def test_a_first_run_trains_the_phantoms_language_model_beside_stage_1(tmp_path: Path) -> None:
    paths = (f"OUT={tmp_path}/out", f"DATA={tmp_path}/data", f"MODELS={tmp_path}/models")
    log = f">> {tmp_path}/models/phantom-llm.log"

    def shown(*words: str, threads: str = "4") -> str:
        return make("-n", "stage2", *words, *paths, OMP_NUM_THREADS=threads).stdout  # nproc goes by it too

    together, after = shown("ARGS=--model.lr=0.5").split("TOGETHER= make")
    assert "make -j2" in together
    assert together.count(log) == 2  # the language model, and the report memory
    assert " fit " in together
    assert log not in after
    assert "--model.lr=0.5" not in together
    assert "--model.lr=0.5" in after
    assert log not in shown(threads="1")
    for alone in (("MODEL=small",), ("RUN_ALL=srun",), ("DATASET=iu_xray", "MODEL=small")):
        assert log not in shown(*alone)
    (tmp_path / "models" / "phantom-llm").mkdir(parents=True)
    (tmp_path / "models" / "phantom-llm" / "config.json").touch()
    assert log not in shown()


def test_reward_goes_on_from_the_supervised_stage_in_a_folder_of_its_own(tmp_path: Path) -> None:
    stamp = tmp_path / "venv" / ".stamp"
    stamp.parent.mkdir()
    stamp.touch()
    paths = [f"VENV={tmp_path}/venv", f"OUT={tmp_path}/out", f"DATA={tmp_path}/data", f"MODELS={tmp_path}/models"]
    shown = make("-n", "stage2", "REWARD=cider:1 side_f1:2", "ARGS=--model.lr=0.5", *paths)
    assert not shown.stderr
    lines = [line for line in shown.stdout.replace("\\\n", " ").splitlines() if " -m experiments " in line]
    supervised, rewarded = (line for line in lines if " fit " in line and "stage2" in line)
    run = tmp_path / "out" / "phantom" / "default"
    assert "--model.lr=0.5" not in supervised  # ARGS are for the phase that is named
    assert f"-c {run}/stage2/config.yaml -c experiments/configs/stage2/reward.yaml" in rewarded
    assert f"--model.start_from={run}/stage2/best.ckpt" in rewarded
    assert f"--trainer.default_root_dir={run}/reward/stage2" in rewarded
    assert "--model.reward.weights='{cider: 1, side_f1: 2}'" in rewarded
    assert "--model.lr=0.5" in rewarded
    assert any(f"predict -c {run}/reward/stage2/config.yaml" in line for line in lines)
    assert any(f"score {run}/reward/reports.jsonl" in line for line in lines)
    plain = make("-n", "stage2", "REWARD=1", *paths).stdout
    assert "--model.reward.weights" not in plain  # reward.yaml and the defaults say them
    assert "reward.yaml" in plain
    assert "reward.yaml" not in make("-n", "stage2", "REWARD=0", *paths).stdout


@pytest.mark.parametrize(
    "words", ["cider side_f1:1", "cider: 1", "cider:x", "bleu:1", "cider:-1", "cider:", ":1", "cider:1 cider:2", "2"]
)
def test_rewards_that_cannot_be_are_refused_before_anything_is_trained(words: str) -> None:
    done = make("-n", "stage2", f"REWARD={words}")
    assert done.returncode != 0
    known = " ".join(REWARDS)
    assert f"REWARD={words}: must be 1, or rewards of {known}, each once and with its weight" in done.stderr


def test_quick_is_the_whole_chain_at_its_smallest(tmp_path: Path) -> None:
    stamp = tmp_path / "venv" / ".stamp"
    stamp.parent.mkdir()
    stamp.touch()
    paths = [f"VENV={tmp_path}/venv", f"OUT={tmp_path}/out", f"DATA={tmp_path}/data", f"MODELS={tmp_path}/models"]
    quick, whole = make("-n", "quick", *paths).stdout, make("-n", "stage2", "MODEL=nano", "RUN=quick", *paths).stdout
    commands = [line for line in whole.splitlines() if "experiments" in line]
    assert f"score {tmp_path}/out/phantom/quick/reports.jsonl --show" in commands[-1]
    assert [line for line in quick.splitlines() if "-m experiments" in line] == commands
    said, *_ = quick.split("-m experiments")
    assert "96 drawn studies" in said
    assert "Research use only" in said
    for word in ("RUN=mine", "MODEL=small"):
        refused = make("-n", "quick", word, *paths)
        assert refused.returncode != 0
        assert f"{word}: make quick chooses it itself; make stage2 takes it" in refused.stderr
        assert "experiments" not in refused.stdout


def test_args_belong_to_the_target_that_is_named(tmp_path: Path) -> None:
    stamp = tmp_path / "venv" / ".stamp"
    stamp.parent.mkdir()
    stamp.touch()
    paths = [f"VENV={tmp_path}/venv", f"OUT={tmp_path}/out", f"DATA={tmp_path}/data", f"MODELS={tmp_path}/models"]
    lines = make("-n", "stage2", "ARGS=--model.lr=0.5", *paths).stdout.replace("\\\n", " ").splitlines()
    fits = [line for line in lines if " fit " in line]
    assert len(fits) == 2
    assert "--model.lr=0.5" not in fits[0]
    assert "--model.lr=0.5" in fits[1]


def test_nano_makes_the_phantom_small_and_takes_another_data_set_whole(tmp_path: Path) -> None:
    stamp = tmp_path / "venv" / ".stamp"
    stamp.parent.mkdir()
    stamp.touch()
    paths = [f"VENV={tmp_path}/venv", f"OUT={tmp_path}/out", f"DATA={tmp_path}/data", f"MODELS={tmp_path}/models"]
    shown = make("-n", "memories", "DATASET=r2gen", "RAW=/raw", "MODEL=nano", *paths).stdout
    prepared = [line for line in shown.splitlines() if "experiments prepare" in line]
    assert [("r2gen" in line, "--studies" in line, "--raw '/raw'" in line) for line in prepared] == [
        (True, False, True),
        (False, True, False),  # for the language model, which is trained on the phantom's reports
    ]
    assert f"--data.folder={tmp_path}/data/r2gen " in shown


def test_the_regions_of_painted_films_are_not_mined(tmp_path: Path) -> None:
    paths = [f"VENV={tmp_path}/venv", f"OUT={tmp_path}/out", f"DATA={tmp_path}/data", f"MODELS={tmp_path}/models"]
    for dataset, mined in (("iu_xray", True), ("painted", False)):
        shown = make("-n", "stage1", f"DATASET={dataset}", "RAW=/raw", "MODEL=small", *paths).stdout
        assert " fit -c experiments/configs/stage1" in shown
        assert (" predict " in shown) is mined


@pytest.mark.parametrize("image", ["", "IMAGE=no_such_film.png"])
def test_predict_without_a_film_stops_before_anything_is_built(image: str) -> None:
    done = make("-n", "predict", *filter(None, [image]))
    assert done.returncode != 0
    assert "make describe IMAGE=film.png" in done.stderr
    assert not done.stdout.strip() or "prepare" not in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("data", "DATSET=iu_xray"), "DATSET=: no such variable; did you mean DATASET? make help lists them"),
        (("stage2", "MODLE=nano"), "MODLE=: no such variable; did you mean MODEL?"),
        (("stage2", "ARG=--x"), "ARG=: no such variable; did you mean ARGS?"),
        (("stage2", "model=nano"), "model=: no such variable; did you mean MODEL?"),
        (("slurm", "GPU=2"), "GPU=: no such variable; did you mean GPUS?"),
        (("data", "DATASET=iuxray"), "DATASET=iuxray: no such configuration; did you mean iu_xray? one of "),
        (("data", "DATASET=iuxray"), f" one of {' '.join(DATASETS)}."),
        (("ablation", "DATASET=mimic-cxr"), "; did you mean mimic_cxr?"),
        (
            ("stage1", "MODEL=smal"),
            "MODEL=smal: no such overlay; did you mean small? one of modern nano paper small tiny.",
        ),
        (("stage1", "MODEL=huge"), "MODEL=huge: no such overlay; one of modern nano paper small tiny."),
        (("ablation", "STAGE=3"), "STAGE=3: make ablation knows no such stage; one of 1 2"),
        (("sweep", "STAGE=all"), "STAGE=all: make sweep knows no such stage; one of 1 memory 2"),
        (("slurm", "STAGE=memory"), "STAGE=memory: make slurm knows no such stage; one of 1 2 all agents"),
        (("sweep", "COUNT=x"), "COUNT=x: must be a whole number of at least 1"),
    ],
)
def test_a_slip_is_named_with_what_was_meant_before_anything_runs(words: tuple[str, ...], message: str) -> None:
    done = make("-n", *words)
    assert done.returncode != 0
    assert message in done.stderr
    assert "?." not in done.stderr
    assert "experiments" not in done.stdout  # nothing would be run


@pytest.mark.parametrize("word", ["WANDB_MODE=offline", "CUDA_VISIBLE_DEVICES=0", "OMP_NUM_THREADS=2", "NANO=train=8"])
def test_variables_of_the_environment_pass(word: str) -> None:
    assert make("-n", "help", word).returncode == 0


def test_paths_of_films_and_raw_data_may_hold_spaces(tmp_path: Path) -> None:
    film, other = tmp_path / "it's my  film.png", tmp_path / "other.png"
    for path in (film, other):
        path.touch()
    quoted = "'" + str(film).replace("'", "'\\''") + "'"
    asked = ("-n", "predict", "MODEL=nano")
    assert f"describe {quoted} --run" in make(*asked, f"IMAGE={film}").stdout
    assert f"describe {other} {other} --run" in make(*asked, f"IMAGE={other} {other}").stdout
    gone = make("-n", "predict", f"IMAGE={tmp_path}/no film.png")
    assert f"make describe IMAGE=film.png ({tmp_path}/no film.png does not)" in gone.stderr
    place = (f"DATA={tmp_path}/data", "DATASET=iu_xray")
    assert f"--raw '{tmp_path}/my raw' " in make("-n", "data", f"RAW={tmp_path}/my raw", *place).stdout


def test_ci_runs_the_plain_tests_and_those_of_processes_and_privacy() -> None:
    ran = (ROOT / ".ci" / "run").read_text()
    files = "tests/test_ddp.py tests/test_privacy.py tests/lightning_modules/test_step_mean.py"
    slow = f'make --no-print-directory test ARGS="-m slow {files}"'
    assert ran.index("\nmake --no-print-directory test\n") < ran.index(f"\nexec {slow}\n")
    assert "set -euo pipefail" in ran  # either failing fails it
    told = " ".join((ROOT / "CONTRIBUTING.md").read_text().split())
    assert slow.replace("--no-print-directory ", "") in told


def test_prepared_data_in_object_storage_are_read_from_there() -> None:
    shown = make("-n", "stage1", "DATA=s3://bucket/prepared", "DATASET=iu_xray", "MODEL=small").stdout
    assert "--data.folder=s3://bucket/prepared/iu_xray" in shown
    assert "experiments prepare" not in shown
    refused = make("-n", "data", "DATA=s3://bucket/prepared")
    assert refused.returncode != 0
    assert "is in object storage: prepare the data in a local folder" in refused.stderr


def test_data_that_are_prepared_already_are_said_to_be(tmp_path: Path) -> None:
    place = [f"{name}={tmp_path}/{name}" for name in ("DATA", "VENV")]
    for made in ("VENV/.stamp", "DATA/csv/card.json", "DATA/phantom/card.json"):
        (tmp_path / made).parent.mkdir(parents=True)
        (tmp_path / made).touch()
    told = f"{tmp_path}/DATA/csv is prepared; without RAW= it was not compared with the raw data\n"
    assert make("-s", "data", "DATASET=csv", *place).stdout == told
    assert make("-s", "data", "DATASET=phantom", *place).stdout == f"{tmp_path}/DATA/phantom is prepared\n"
