"""The network of a finished run, with the memories in the run's own folder."""

from __future__ import annotations

from pathlib import Path

from ammrg.memory.bank import bank_paths
from lightning_modules.report_generation import ReportGeneration
from lightning_modules.stage1_checkpoint import read_checkpoint


def open_model(run: Path) -> ReportGeneration:
    """A run's stage-2 network, in evaluation; says which memories it reads.

    A checkpoint names its banks as they lay at training. ``run/memory`` goes before: a copy of a run, moved or pruned
    since, is not to answer from the memories of the run it was copied from.

    Raises:
        CheckpointError: stage 2 is not there, damaged, or was trained with other memories.
        MemoryBankError: a bank is missing or broken.
    """
    checkpoint = run / "stage2" / "best.ckpt"
    recorded = read_checkpoint(checkpoint).get("hyper_parameters", {})
    paths = {name: Path(recorded[name]) for name in ("regions_memory", "reports_memory") if name in recorded}
    own = {name: run / "memory" / path.name for name, path in paths.items()}
    own = {name: path for name, path in own.items() if bank_paths(path)[1].is_file()}
    model = ReportGeneration.load_from_checkpoint(
        checkpoint, map_location="cpu", weights_only=True, **{name: str(path) for name, path in own.items()}
    ).eval()
    banks = {"regions_memory": model.network.visual_bank, "reports_memory": model.network.report_bank}
    for name, path in (paths | own).items():
        if (bank := banks[name]) is not None:
            print(f"{name.replace('_', ' ')}: {bank_paths(path)[0]}, fingerprint {bank.fingerprint}")
    return model
