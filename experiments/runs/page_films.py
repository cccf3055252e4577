"""Films and maps of a run's studies, for the score page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ammrg.evaluation.page.writing import Films
from ammrg.findings import FINDINGS
from ammrg.inference.shown_maps import shown_findings, shown_view
from experiments.runs.run import Run

if TYPE_CHECKING:
    from torch import Tensor

    from ammrg.networks.class_activation import MapMethod
    from ammrg.networks.disease_classifier import DiseaseClassifier

SIDE = 336
"""Width and height of a film on the page, in pixels."""


def films_of_run(run: Path, study_ids: Sequence[str]) -> Films:
    """The first frontal film of each study (or else its first film), with maps.

    Shown are the maps of the findings above their thresholds, or the map of the most probable finding.

    Args:
        run: a folder with ``stage1/best.ckpt`` and ``stage2/config.yaml``.
        study_ids: studies of the split whose reports were written.

    Returns:
        The films; none, with the reason, if the network or the data are missing.
    """
    opened = Run(run)
    if not opened.stage1.checkpoint.is_file() or not (opened.stage2.folder / "config.yaml").is_file():
        return Films(
            {}, f"Films are not shown: {run} holds no finished run (it lacks stage1/best.ckpt or stage2/config.yaml)."
        )
    # PyTorch and Lightning take seconds to import; a file without its run is scored without them.
    import torch
    from rich.console import Console
    from rich.progress import track

    from ammrg.errors import AMMRGError
    from ammrg.imaging.embedded import film_uri
    from ammrg.imaging.transforms import eval_transform
    from datamodules.dataset import StudyDataset
    from lightning_modules.stage1_checkpoint import load_stage1

    kept: dict[str, Any] = {}
    try:
        stage1, datamodule = load_stage1(opened.stage1.checkpoint), opened.unchecked_data
        split = datamodule.predict_split
        place = {study_id: row for row, study_id in enumerate(datamodule.ids(split)[0])}
        dataset = StudyDataset(
            datamodule.rows(split), eval_transform(stage1.image_size), frontal_only=datamodule.frontal_only
        )
        known = [study_id for study_id in study_ids if study_id in place]
        for study_id in track(known, "films", transient=True, console=Console(stderr=True)):
            example = dataset.example((place[study_id], 0, 0))
            film = example.films[shown_view(example.projections)]
            maps = _shown_maps(stage1.classifier, torch.from_numpy(film)[None, None], stage1.cam)
            kept[study_id] = {
                "image": film_uri(film, SIDE),
                "maps": maps,
                "shift": stage1.classifier.encoder.cell_shift,
            }
    except AMMRGError as error:  # the scores do not need the films
        return Films(kept, f"Films are not shown: {error}")
    return Films(kept, "This page shows the films of the worst and the best studies only.")


def _shown_maps(classifier: DiseaseClassifier, film: Tensor, method: MapMethod) -> dict[str, dict[str, Any]]:
    """Maps of one film ``[1 1 h w]``: finding -> ``{probability, grid}``, the most probable first."""
    from ammrg.imaging.embedded import hundredths
    from ammrg.networks.class_activation import activation_maps

    found = activation_maps(classifier, film, method)
    probabilities = found.classification.logits[0].sigmoid().tolist()
    return {
        FINDINGS[i]: {
            "probability": round(probabilities[i], 3),
            "grid": hundredths(found.maps[0, i].detach().cpu().float().numpy()),
        }
        for i in shown_findings(probabilities, classifier.thresholds.tolist())
    }
