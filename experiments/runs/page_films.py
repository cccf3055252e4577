"""Films and maps of a run's studies, for the score page."""

from __future__ import annotations

import base64
import io
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
QUALITY = 80
"""JPEG quality of the films, from 0 to 100."""


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
    from PIL import Image
    from rich.console import Console
    from rich.progress import track

    from ammrg.errors import AMMRGError
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
            encoded = io.BytesIO()
            Image.fromarray(film).resize((SIDE, SIDE)).save(encoded, "JPEG", quality=QUALITY)
            kept[study_id] = {
                "image": "data:image/jpeg;base64," + base64.b64encode(encoded.getvalue()).decode(),
                "maps": {name: _hundredths(grid) for name, grid in maps.items()},
                "shift": stage1.classifier.encoder.cell_shift,
            }
    except AMMRGError as error:  # the scores do not need the films
        return Films(kept, f"Films are not shown: {error}")
    return Films(kept, "This page shows the films of the worst and the best studies only.")


def _hundredths(grid: Tensor) -> list[list[int]]:
    """A map as whole hundredths of its maximum, row by row."""
    rows: list[list[int]] = (100 * grid / grid.max().clamp(min=1e-12)).round().int().tolist()
    return rows


def _shown_maps(classifier: DiseaseClassifier, film: Tensor, method: MapMethod) -> dict[str, Tensor]:
    """Maps of one film ``[1 1 h w]``: finding with its probability -> map ``[gh gw]``, the most probable first."""
    from ammrg.networks.class_activation import activation_maps

    found = activation_maps(classifier, film, method)
    probabilities = found.classification.logits[0].sigmoid().tolist()
    shown = shown_findings(probabilities, classifier.thresholds.tolist())
    return {f"{FINDINGS[i]} (p = {probabilities[i]:.2f})": found.maps[0, i].detach() for i in shown}
