"""``operating_curve.json``: a run's thresholds at each operating point, measured on its validation studies."""

from __future__ import annotations

from pathlib import Path

from ammrg.atomic import write_json
from ammrg.errors import CheckpointError
from ammrg.fingerprints import file_fingerprint
from ammrg.metrics.operating_curve import operating_curve
from ammrg.networks.finding_loss import training_targets
from ammrg.networks.report_network import ReportNetwork
from ammrg.operating_points import OperatingCurve
from datamodules.studies import StudyDataModule
from experiments.runs.stage import read_json
from experiments.runs.study_features import study_features

CURVE = "operating_curve.json"


def measure_curve(network: ReportNetwork, datamodule: StudyDataModule) -> OperatingCurve:
    """Read all validation studies with stage 1, and measure the curve.

    Args:
        network: of the run, on its device and in eval mode.
        datamodule: the data of the run.
    """
    loader = datamodule.evaluation_loader("val", alone=True)
    seen = study_features(network.classifier, loader, network.device, "validation studies")
    found, named = (limits.cpu() for limits in network.thresholds)
    return operating_curve(seen.findings, *training_targets(seen.labels), found, named)


def write_curve(folder: Path, curve: OperatingCurve, checkpoint: Path) -> None:
    """Write a run's curve, with the fingerprint of the checkpoint of stage 2 that it belongs to."""
    write_json(folder / CURVE, {"checkpoint": file_fingerprint(checkpoint), **curve.as_json()})


def read_curve(folder: Path, checkpoint: Path) -> OperatingCurve | None:
    """Read a run's curve; None where there is none, or it belongs to another checkpoint.

    Raises:
        CheckpointError: the file is damaged.
    """
    kept = read_json(folder / CURVE)
    if not kept or kept.get("checkpoint") != file_fingerprint(checkpoint):
        return None
    try:
        return OperatingCurve.from_json(kept)
    except ValueError as error:
        raise CheckpointError(f"{folder / CURVE}: {error}; remove it and write the reports again") from error
