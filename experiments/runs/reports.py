"""What follows the reports of a run: baselines and guards to compare them with, their meta file, a case picture."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from lightning.pytorch import Trainer

from ammrg.atomic import write_json
from ammrg.findings import FINDINGS
from ammrg.fingerprints import file_fingerprint, json_fingerprint
from ammrg.reasons import InfluenceThresholds
from datamodules.studies import StudyDataModule
from experiments.runs.baselines import write_baselines
from experiments.runs.case_picture import write_case_picture
from experiments.runs.guards import write_guards
from experiments.runs.influence import influence_thresholds
from experiments.runs.operating_curve import measure_curve, write_curve
from experiments.runs.recall_baselines import write_recall_baselines
from experiments.runs.study_features import study_features
from lightning_modules.report_generation import ReportGeneration


def write_all_reports(trainer: Trainer, model: ReportGeneration, datamodule: StudyDataModule, folder: Path) -> None:
    """Write what belongs beside ``reports.jsonl``.

    These are guards, baselines, those of recall, ``case.png``, ``operating_curve.json`` and ``reports.meta.json``.

    Args:
        trainer: the Trainer that wrote the reports.
        model: the run's network.
        datamodule: the data of the run.
        folder: the run's folder.
    """
    checkpoint = trainer.ckpt_path
    if trainer.is_global_zero:
        device = trainer.strategy.root_device
        seed = int(datamodule.card.get("seed", 0))
        network = model.network.to(device).eval()
        train, evaluated = (
            study_features(
                network.classifier, datamodule.evaluation_loader(split, alone=True), device, f"{name} studies"
            )
            for name, split in (("training studies", "train"), ("evaluated studies", datamodule.predict_split))
        )
        thresholds = network.classifier.thresholds.cpu()
        write_baselines(train, evaluated, thresholds, datamodule.texts("val"), folder / "baselines", seed)
        write_recall_baselines(network, train, evaluated, folder / "recalled", seed)
        influence = influence_thresholds(model, datamodule)
        write_case_picture(model, datamodule, folder, influence)
        if checkpoint:
            write_curve(folder, measure_curve(network, datamodule), Path(str(checkpoint)))
    write_guards(trainer, model, datamodule, folder / "guards")
    if trainer.is_global_zero:  # written last: if this file exists, all the others do
        write_meta(checkpoint, model, datamodule, influence, folder / "reports.meta.json")


def write_meta(
    checkpoint: str | Path | None,
    model: ReportGeneration,
    datamodule: StudyDataModule,
    influence: InfluenceThresholds | None,
    path: Path,
) -> None:
    """Write the meta file of the reports: checkpoint, data, settings, thresholds, versions they were written with."""
    write_json(
        path,
        {
            "checkpoint": file_fingerprint(Path(str(checkpoint))) if checkpoint else None,
            "config": json_fingerprint({key: value for key, value in model.hparams.items() if not key.startswith("_")}),
            "data": datamodule.card["fingerprint"],
            "dataset": datamodule.card["dataset"],
            "decoding": model.hparams["decoding"] or {},
            "identity": model.network.identity,
            "influence_threshold": None if influence is None else influence._asdict(),
            "restricted": datamodule.card["restricted"],
            "split": datamodule.predict_split,
            "operating_point": model.operating_point,
            "thresholds": dict(zip(FINDINGS, model.reading.found.tolist(), strict=True)),
            "versions": {name: metadata.version(name) for name in ("torch", "transformers", "bitsandbytes")},
        },
    )
