"""A finished run of stage 2 as one model, ready to write reports."""

from __future__ import annotations

from pathlib import Path

from ammrg.errors import CheckpointError
from ammrg.imaging.processor import FilmProcessor
from ammrg.networks.pretrained import Pretrained


def best_checkpoint(run: Path) -> Path:
    """The stage-2 checkpoint of a run.

    Raises:
        CheckpointError: there is none.
    """
    checkpoint = run / "stage2" / "best.ckpt"
    if not checkpoint.is_file():
        raise CheckpointError(f"{checkpoint}: not there; train the run first (make stage2), or name another")
    return checkpoint


def load_run(run: Path) -> Pretrained:
    """The run's best network on the CPU with its decoding, how its films are read, and its map method; all of it
    checked as at every load of a checkpoint."""
    from lightning_modules.report_generation import ReportGeneration
    from lightning_modules.stage1_checkpoint import read_checkpoint

    checkpoint = best_checkpoint(run)
    data = read_checkpoint(checkpoint).get("datamodule_hyper_parameters", {})
    model = ReportGeneration.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True).eval()
    model.network.decoding = dict(model.hparams["decoding"] or {})
    return Pretrained(model.network, FilmProcessor(model.image_size, data.get("views", "all")), model.cam)
