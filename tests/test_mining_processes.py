"""Mining with two processes gives the memory of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ammrg.memory.bank import MemoryBank
from ammrg.memory.bank_files import load
from experiments.__main__ import main

ROOT = Path(__file__).parent.parent
CONFIGS = ROOT / "experiments" / "configs"


def mine(run: Path, devices: int) -> tuple[MemoryBank, dict[str, object]]:
    """The bank and the report of a mining in a process of its own, as ``make stage1 DEVICES=n`` starts it."""
    folder = run.parent / f"memory_{devices}"
    words = [
        "predict",
        "-c",
        f"{run}/config.yaml",
        f"--ckpt_path={run}/best.ckpt",
        f"--trainer.callbacks.folder={folder}",
    ]
    words += [f"--trainer.devices={devices}", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "experiments", *words], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return load(folder / "regions"), json.loads((folder / "regions_report" / "report.json").read_text())


@pytest.mark.slow
def test_two_processes_mine_what_one_does(tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run" / "stage1"
    # 37 studies: the two processes get unequal shares, with batches cut elsewhere
    sizes = "train=37,val=16,test=4"
    assert main(["prepare", "--dataset", "phantom", "--out", str(data), "--studies", sizes]) == 0
    files = (CONFIGS / "stage1" / "default.yaml", CONFIGS / "data" / "phantom.yaml", CONFIGS / "stage1" / "nano.yaml")
    configs = [word for file in files for word in ("-c", str(file))]
    words = ["fit", *configs, f"--data.folder={data}", f"--trainer.default_root_dir={run}"]
    # patches of whatever is labelled: two epochs are not enough to predict much
    changes = ["--model.region_form=patches", "--model.region_tokens=crop", "--trainer.callbacks.maps_num=9"]
    changes += ["--model.cam=hirescam", '--model.regions={"least": 0.2}']
    assert main([*words, *changes]) == 0
    (one, report_of_one), (two, report_of_two) = mine(run, 1), mine(run, 2)
    assert len(one) > 14 + 20
    assert one.study_ids == two.study_ids
    assert one.subject_ids == two.subject_ids
    assert torch.equal(one.findings, two.findings)
    assert torch.equal(one.views, two.views)
    assert torch.equal(one.boxes.nan_to_num(-1), two.boxes.nan_to_num(-1))
    torch.testing.assert_close(one.patterns, two.patterns, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(one.scores, two.scores, atol=1e-6, rtol=1e-5)
    assert one.meta == two.meta
    assert report_of_one["findings"].keys() == report_of_two["findings"].keys()  # type: ignore[attr-defined]
    for key in ("films", "studies", "mined_regions", "stored_regions"):
        assert report_of_one[key] == report_of_two[key]
