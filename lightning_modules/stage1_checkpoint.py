"""Reads stage-1 checkpoints for later stages: the network alone, checked, and rebuilt without a model hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ammrg.errors import CheckpointError
from ammrg.fingerprints import tensors_fingerprint
from ammrg.networks.class_activation import MapMethod
from ammrg.networks.disease_classifier import DiseaseClassifier
from ammrg.networks.film_distance import FilmDistance, TooFewFilms

PREFIX = "classifier."
"""Prefix of the network's weights in a checkpoint."""


class Stage1(NamedTuple):
    """The content of a stage-1 checkpoint that later stages need."""

    classifier: DiseaseClassifier
    """The network in eval mode; frozen unless loaded with ``trainable``."""
    fingerprint: str
    """Fingerprint of the classifier's weights; a region bank must carry the same."""
    data_fingerprint: str
    """Fingerprint of the prepared data it was trained on."""
    image_size: int
    """Side of its training films, in pixels."""
    cam: MapMethod
    """Map method: the setting's, or the one chosen on validation (``cam: auto``)."""
    restricted: bool
    """Whether its training data, or those of the stage 1 it started from, are restricted."""
    fold: tuple[int, int] | None
    """(the fold whose patients it never saw, number of folds); None if it was trained on all folds."""
    dataset: str = ""
    """Name of the data set it was trained on."""
    distance: FilmDistance | TooFewFilms | None = None
    """Distance of a film from the training films; None in checkpoints of earlier versions."""


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU; it may contain tensors and primitives only.

    Raises:
        CheckpointError: there is no such file, or it is not a whole checkpoint.
    """
    file = Path(path).expanduser()
    if file.is_dir() and str(path):
        raise CheckpointError(f"{path}: is a folder; name a checkpoint in it (stage1/best.ckpt of a run)")
    if not file.is_file():
        raise CheckpointError(f"{path}: no such checkpoint; train the stage first (make stage1, make stage2)")
    try:
        checkpoint = torch.load(file, weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises many kinds for a broken file
        raise CheckpointError(
            f"{path}: not a whole checkpoint ({type(error).__name__}); it was cut short or is another kind of "
            "file. If your own training wrote it, remove it: the same command resumes from the checkpoint before it"
        ) from error
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("state_dict"), dict):
        raise CheckpointError(f"{path}: is not the checkpoint of a training; name a best.ckpt or last.ckpt")
    return checkpoint


def load_stage1(path: str | Path, trainable: bool = False) -> Stage1:
    """Read a stage-1 checkpoint.

    Args:
        path: the checkpoint.
        trainable: leave the network's weights trainable; the caller freezes those it does not train.

    Raises:
        CheckpointError: the file is missing, is a checkpoint of another module or an earlier version, or its weights
            do not fit its settings.
    """
    return stage1_of(read_checkpoint(path), path, trainable)


def classifier_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's part of a module's state dict, without the prefix."""
    return {name.removeprefix(PREFIX): tensor for name, tensor in state.items() if name.startswith(PREFIX)}


def refuse_earlier(checkpoint: Mapping[str, Any], what: str) -> None:
    """Refuse a checkpoint of an earlier version, whose head ``per_query`` is what is now called ``untied``.

    Args:
        checkpoint: content of a stage-1 checkpoint.
        what: name of the checkpoint, for the message.

    Raises:
        CheckpointError: an earlier version wrote the checkpoint.
    """
    config = checkpoint.get("classifier_config", {})  # a sharded checkpoint has neither; its weights are read later
    if config.get("head") == "per_query" and f"{PREFIX}head.weight" in checkpoint.get("state_dict", {}):
        raise CheckpointError(
            f"{what}: was trained by an earlier version, whose head had weights of its own (head.weight; now head: "
            "untied); train stage 1 again, under another RUN or after removing its folder"
        )


def stage1_of(checkpoint: Mapping[str, Any], path: str | Path, trainable: bool = False) -> Stage1:
    """Rebuild stage 1 from the content of a checkpoint, as :func:`load_stage1` does; ``path`` is for messages."""
    if not {"classifier_config", "classifier_fingerprint", "provenance"} <= checkpoint.keys():
        module = checkpoint.get("provenance", {}).get("module", "another module")
        raise CheckpointError(f"{path}: contains {module}, not DiseaseClassification; name a checkpoint of stage 1")
    refuse_earlier(checkpoint, str(path))
    classifier = DiseaseClassifier.from_config(checkpoint["classifier_config"])
    try:
        classifier.load_state_dict(classifier_weights(checkpoint["state_dict"]), strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its weights do not fit its own settings: {error}") from error
    fingerprint = tensors_fingerprint(classifier.state_dict())
    if fingerprint != checkpoint["classifier_fingerprint"]:
        raise CheckpointError(
            f"{path}: the weights have fingerprint {fingerprint}, but the file says "
            f"{checkpoint['classifier_fingerprint']}: it was changed or is damaged; train stage 1 again"
        )
    kept = checkpoint["provenance"]
    fold = kept.get("left_out_fold")
    if not trainable:
        classifier.requires_grad_(False)
    classifier.eval()
    classifier.encoder.check_films(kept["image_size"])  # maps and regions will be made at this size
    return Stage1(
        classifier,
        fingerprint,
        kept["data_fingerprint"],
        kept["image_size"],
        checkpoint["cam"],
        bool(kept.get("restricted", True)),
        None if fold is None else tuple(fold),
        kept.get("dataset", ""),
        distance_of(checkpoint, str(path)),
    )


def distance_of(checkpoint: Mapping[str, Any], what: str) -> FilmDistance | TooFewFilms | None:
    """The film distance saved in a stage-1 checkpoint, or why there is none; None if the checkpoint does not say.

    Raises:
        CheckpointError: the saved state is not a film distance.
    """
    state = checkpoint.get("film_distance")
    return None if state is None else FilmDistance.from_state(state, what)
