"""Two processes train, mine, write and score what one does, with the same studies an optimizer step."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ammrg.memory.bank_files import load
from experiments.__main__ import main
from tests.unchecked import UNCHECKED

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent
CONFIGS = ROOT / "experiments" / "configs"
# Layer norms only: torch has batch statistics over several processes for GPUs alone. No dropout: each process draws
# its own.
SWIN = {
    "model_type": "swin",
    "num_channels": 1,
    "image_size": 64,
    "patch_size": 4,
    "embed_dim": 12,
    "depths": [1, 1],
    "num_heads": [2, 2],
    "window_size": 4,
    "drop_path_rate": 0.0,
}


def experiments(*words: str) -> str:
    # An offline run of the logger writes files named by the second: no two runs have the same.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled"}
    done = subprocess.run(
        [sys.executable, "-m", "experiments", *words], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-3000:]
    return done.stdout


def configs(stage: str, data: Path, folder: Path) -> list[str]:
    files = (CONFIGS / stage / "default.yaml", CONFIGS / "data" / "phantom.yaml", CONFIGS / stage / "nano.yaml")
    return [word for file in files for word in ("-c", str(file))] + [
        f"--data.folder={data}",
        f"--trainer.default_root_dir={folder}",
        "--trainer.enable_progress_bar=false",
        "--trainer.log_every_n_steps=1",
        "--trainer.accelerator=cpu",
    ]


STAGE1 = (
    "--model.encoder=" + json.dumps({"config": SWIN}),
    "--model.qformer.dropout=0.0",
    "--model.token_loss=1",
    "--data.batch_size=16",
    # patches of whatever is labelled: two epochs are not enough to predict much
    "--model.region_form=patches",
    '--model.regions={"least": 0.2}',
    "--trainer.callbacks.maps_num=9",
    "--model.cam=hirescam",
)


def whole_way(root: Path, devices: int) -> Path:
    """Both stages with their memories, reports and scores, as the Makefile runs them."""
    run, data, llm = root / f"devices{devices}", root / "data", root / "llm"
    with_devices = [f"--trainer.devices={devices}"]
    experiments("fit", *configs("stage1", data, run / "stage1"), *with_devices, *STAGE1)
    best = run / "stage1" / "best.ckpt"
    experiments("predict", "-c", f"{run}/stage1/config.yaml", f"--ckpt_path={best}")
    memory = [*configs("memory", data, run / "memory"), f"--model.text_encoder={llm}", *with_devices]
    experiments("predict", *memory)
    stage2 = {
        "stage1_checkpoint": best,
        "regions_memory": run / "memory" / "regions",
        "reports_memory": run / "memory" / "reports",
        "language_model": llm,
        "lora": '{"rank": 4, "dropout": 0.0}',
        "network": '{"hopfield": {"dropout": 0.0}}',
        "shuffle_loss": 0.5,
        "association_loss": 0.1,
        "replayed_studies": 0,  # each process draws from the studies that it has seen itself
        "generate_studies": 9,
    }
    words = [f"--model.{key}={value}" for key, value in stage2.items()]
    experiments("fit", *configs("stage2", data, run / "stage2"), *with_devices, *words)
    experiments("predict", "-c", f"{run}/stage2/config.yaml", f"--ckpt_path={run}/stage2/best.ckpt")
    experiments("score", str(run / "reports.jsonl"), "--bootstrap", "50", "--no-meteor", "--quiet")
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("ddp")
    # 17 and 19 studies: the two processes get unequal shares
    sizes = "train=64,val=17,test=19"
    assert main(["prepare", "--dataset", "phantom", "--out", str(root / "data"), "--studies", sizes]) == 0
    words = ["models", "phantom", "--data", str(root / "data"), "--out", str(root / "llm"), "--size", "nano"]
    assert main(words) == 0
    return whole_way(root, 1), whole_way(root, 2)


COMPARED = ("val/", "train/loss", "train/token_loss", "train/shuffle", "train/association")


def metrics(run: Path, stage: str, names: tuple[str, ...] = COMPARED) -> dict[tuple[str, str], float]:
    """(step, name) -> value, of the names that begin so."""
    with (run / stage / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        (row["step"], name): float(value)
        for row in rows
        for name, value in row.items()
        if value and name.startswith(names)
    }


@pytest.mark.parametrize("stage", ["stage1", "stage2"])
def test_ddp_validates_as_one_process(runs: tuple[Path, Path], stage: str) -> None:
    one, two = (metrics(run, stage) for run in runs)
    assert one.keys() == two.keys()
    assert len({name for _, name in one}) >= 3
    far = {key: (one[key], two[key]) for key in one if abs(one[key] - two[key]) > 2e-3}
    assert not far


@pytest.mark.parametrize("stage", ["stage1", "stage2"])
def test_ddp_learns_the_same_weights(runs: tuple[Path, Path], stage: str) -> None:
    one, two = (torch.load(run / stage / "last.ckpt", weights_only=True)["state_dict"] for run in runs)
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        if name.endswith(".keys"):  # hashes of patterns, which differ in their last digits
            continue
        torch.testing.assert_close(tensor, two[name], atol=2e-3, rtol=2e-3, equal_nan=True, msg=name)


def test_ddp_mines_the_same_memories(runs: tuple[Path, Path]) -> None:
    for kind in ("regions", "reports"):
        one, two = (load(run / "memory" / kind, UNCHECKED) for run in runs)
        assert one.study_ids == two.study_ids
        torch.testing.assert_close(one.patterns, two.patterns, atol=5e-3, rtol=5e-3)


def test_ddp_scores_every_study_once(runs: tuple[Path, Path]) -> None:
    reports = []
    for run in runs:
        lines = [json.loads(line) for line in (run / "reports.jsonl").read_text().splitlines()]
        assert len(lines) == len({line["study_id"] for line in lines}) == 19
        reports.append({line["study_id"]: line for line in lines})
    one, two = reports
    assert one.keys() == two.keys()
    for study, line in one.items():
        assert line["reference"] == two[study]["reference"]
        for name, value in line["findings"].items():
            assert abs(value - two[study]["findings"][name]) < 5e-3
    scores = [json.loads((run / "stage1" / "scores.json").read_text())["test"] for run in runs]
    assert scores[0]["auroc_macro"]["value"] == pytest.approx(scores[1]["auroc_macro"]["value"], abs=5e-3)


def test_ddp_writes_no_file_twice(runs: tuple[Path, Path]) -> None:
    """The same files as one process writes, none left half, one row a logged step."""
    one, two = ({str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()} for run in runs)
    assert one == two
    assert not [name for name in two if name.endswith((".partial", ".fresh.ckpt"))]
    for stage in ("stage1", "stage2"):
        with (runs[1] / stage / "metrics.csv").open(newline="") as file:
            steps = [(row["step"], row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]
        assert len(steps) == len(set(steps))


def test_ddp_trains_by_rewards_as_one_process(runs: tuple[Path, Path]) -> None:
    """From the same supervised weights: the same samples, rewards and weights, whatever process drew them."""
    one = runs[0]
    found: list[dict[tuple[str, str], float]] = []
    weights = []
    for devices in (1, 2):
        folder = one.parent / f"rewarded{devices}" / "stage2"
        words = [f"--trainer.default_root_dir={folder}", f"--model.start_from={one}/stage2/best.ckpt"]
        files = ["-c", f"{one}/stage2/config.yaml", "-c", str(CONFIGS / "stage2" / "reward.yaml")]
        words += [f"--trainer.devices={devices}", "--trainer.max_epochs=1", "--trainer.limit_train_batches=4"]
        experiments("fit", *files, *words, "--model.lr=1e-2", "--model.warmup_steps=0")
        found.append(metrics(folder.parent, "stage2", ("train/", "val/")))
        weights.append(torch.load(folder / "last.ckpt", weights_only=True)["state_dict"])
    steps = {step for step, name in found[0] if name == "train/reward_cider"}
    assert len(steps) == 4
    assert max(value for (_, name), value in found[0].items() if name == "train/kl") > 1e-6  # it learns
    assert found[0].keys() == found[1].keys()
    timing = ("train/studies_per_second", "train/tokens_per_second")
    far = {
        key: (value, found[1][key])
        for key, value in found[0].items()
        if key[1] not in timing and abs(value - found[1][key]) > 2e-3
    }
    assert not far
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], atol=2e-3, rtol=2e-3, equal_nan=True, msg=name)


def test_ddp_sharded_learns_and_goes_on_as_one_process(runs: tuple[Path, Path]) -> None:
    """Two processes that hold half the weights each: the same training, memory and scores; stopped, the same again."""
    run, data = runs[0].parent / "sharded", runs[0].parent / "data"
    words = ["fit", *configs("stage1", data, run / "stage1"), "-c", str(CONFIGS / "stage1" / "sharded.yaml")]
    words += [*STAGE1, "--trainer.devices=2"]
    experiments(*words)
    last = run / "stage1" / "last.ckpt"
    one, two = (torch.load(path, weights_only=True) for path in (runs[0] / "stage1" / "last.ckpt", last))
    assert two["provenance"] == one["provenance"]
    for name, tensor in one["state_dict"].items():
        torch.testing.assert_close(tensor, two["state_dict"][name], atol=2e-3, rtol=2e-3, equal_nan=True, msg=name)
    scores = [json.loads((folder / "stage1" / "scores.json").read_text())["test"] for folder in (runs[0], run)]
    assert scores[0]["auroc_macro"]["value"] == pytest.approx(scores[1]["auroc_macro"]["value"], abs=5e-3)
    assert scores[0].keys() == scores[1].keys()

    experiments("predict", "-c", f"{run}/stage1/config.yaml", f"--ckpt_path={run}/stage1/best.ckpt")
    banks = [load(folder / "memory" / "regions", UNCHECKED) for folder in (runs[0], run)]
    assert banks[0].study_ids == banks[1].study_ids

    last.unlink()  # what is left is of a step before
    (run / "stage1" / "manifest.json").unlink()
    assert "continuing from" in experiments(*words)
    again = torch.load(last, weights_only=True)
    for kept, found in ((two["state_dict"], again["state_dict"]), *zip(*moments(two, again), strict=True)):
        assert kept.keys() == found.keys()
        assert all(torch.equal(kept[name].nan_to_num(9), found[name].nan_to_num(9)) for name in kept)


def moments(*checkpoints: dict[str, Any]) -> Iterator[list[dict[str, torch.Tensor]]]:
    """What the optimizer knows of each parameter."""
    for checkpoint in checkpoints:
        yield list(checkpoint["optimizer_states"][0]["state"].values())
