"""The files in the folder of a finished run."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from experiments.runs.run import Run as OpenedRun
from tests.pipeline.nano_run import Run


def test_every_artifact_is_there(run: Run) -> None:
    for stage in (run.stage1, run.stage2):
        names = {path.name for path in stage.iterdir()}
        assert {"best.ckpt", "last.ckpt", "config.yaml", "metrics.csv", "manifest.json"} <= names
    assert (run.stage1 / "scores.json").exists()
    for name in ("case.png", "reports.meta.json", "scores.json", "memory/regions.json", "memory/reports.safetensors"):
        assert (run.folder / name).stat().st_size > 0, name


def test_checkpoints_hold_no_language_model(run: Run) -> None:
    checkpoint = torch.load(run.stage2 / "best.ckpt", weights_only=True)
    llm = load_file(run.llm / "model.safetensors")
    assert sum(tensor.numel() for tensor in checkpoint["state_dict"].values()) < 10 * sum(
        t.numel() for t in llm.values()
    )
    assert not [name for name in checkpoint["state_dict"] if "embed_tokens" in name or "base_layer" in name]
    assert checkpoint["identity"]["language_model"]["quantization"] == "nf4"


def test_a_run_may_be_moved(run: Run, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere"
    run.folder.rename(place)
    try:
        moved = OpenedRun(place)
        model = moved.model(moved.held_out())
    finally:
        place.rename(run.folder)
    assert model.network.identity == OpenedRun(run.folder).model().network.identity
