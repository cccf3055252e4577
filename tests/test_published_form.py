"""The published form of stage 1 (`MODEL=paper`) through the real command, with a small Swin for the large one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml

from ammrg.findings import FINDINGS, NO_FINDING
from ammrg.memory.bank_files import load
from experiments.__main__ import main
from lightning_modules.stage1_checkpoint import load_stage1

CONFIGS = Path(__file__).parent.parent / "experiments" / "configs"


def test_every_choice_of_the_paper_is_made() -> None:
    paper = yaml.safe_load((CONFIGS / "stage1" / "paper.yaml").read_text())
    model = paper["model"]["init_args"]
    assert model["encoder"] == {"pretrained": "microsoft/swin-large-patch4-window7-224"}
    assert (model["head"], model["cam"], model["region_form"]) == ("pooled", "gradcam", "patches")
    assert model["region_tokens"] == "crop"
    assert model["regions"] == {"patch": 16, "least": 0.75, "per_finding": 6}
    assert (model["lr"], model["lr"] * model["final_lr_fraction"]) == (1e-4, pytest.approx(1e-6))
    assert not model["qformer"]["positions"]
    assert "token_loss" not in model
    (writer,) = paper["trainer"]["callbacks+"]
    assert writer["init_args"] == {"maps_num": 500, "selection": "random"}
    assert (paper["trainer"]["max_epochs"], paper["trainer"]["precision"]) == (10, "bf16-mixed")


@pytest.mark.slow
def test_it_trains_and_mines(tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModel, ViTImageProcessor

    torch.manual_seed(0)
    swin = AutoConfig.for_model(
        "swin", image_size=64, embed_dim=8, depths=[1, 1, 1], num_heads=[1, 2, 4], window_size=4
    )
    AutoModel.from_config(swin).save_pretrained(tmp_path / "swin")
    ViTImageProcessor(image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]).save_pretrained(
        tmp_path / "swin"
    )
    data, run = tmp_path / "data", tmp_path / "run" / "stage1"
    assert main(["prepare", "--dataset", "phantom", "--out", str(data), "--studies", "train=48,val=16,test=8"]) == 0
    files = (CONFIGS / "stage1" / "default.yaml", CONFIGS / "data" / "phantom.yaml", CONFIGS / "stage1" / "paper.yaml")
    words = [word for file in files for word in ("-c", str(file))]
    words += [
        f"--data.folder={data}",
        f"--trainer.default_root_dir={run}",
        f"--model.encoder.pretrained={tmp_path}/swin",
    ]
    words += ["--model.qformer.width=32", "--model.qformer.layers=2", "--model.qformer.heads=2", "--model.bootstrap=20"]
    words += ["--trainer.precision=32-true", "--trainer.max_epochs=2", "--data.image_size=64", "--data.batch_size=16"]
    words += ["--trainer.accelerator=cpu", "--data.num_workers=0"]
    assert main(["fit", *words]) == 0
    assert main(["predict", "-c", f"{run}/config.yaml", f"--ckpt_path={run}/best.ckpt"]) == 0
    bank = load(tmp_path / "run" / "memory" / "regions", encoder_fingerprint=load_stage1(run / "best.ckpt").fingerprint)
    assert bank.meta.selection == "random"
    assert (bank.findings[14:] == NO_FINDING).any()  # of whatever is labelled, "No Finding" too
    sides = bank.boxes[14:, 2:] - bank.boxes[14:, :2]
    torch.testing.assert_close(sides, torch.full_like(sides, 16 / 64))
    report = json.loads((tmp_path / "run" / "memory" / "regions_report" / "report.json").read_text())
    assert report["cam"] == "gradcam"
    assert FINDINGS[NO_FINDING] in report["findings"]
    pages = [page.name for page in (tmp_path / "run" / "memory" / "regions_report").glob("*.png")]
    assert "no_finding.png" in pages
