"""A stage-1 checkpoint as stage 2 takes it: the network alone, checked, rebuilt without a hub."""

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
from ammrg.networks.film_distance import FilmDistance

PREFIX = "classifier."
"""Of the network's weights in a checkpoint."""


class Stage1(NamedTuple):
    """What a stage-1 checkpoint holds for later stages."""

    classifier: DiseaseClassifier
    """In eval mode; frozen unless it was asked for to be trained on."""
    fingerprint: str
    """Of the classifier's weights: a region bank must carry the same."""
    data_fingerprint: str
    """Of the prepared data it was trained on."""
    image_size: int
    """Side of the films it saw, in pixels."""
    cam: MapMethod
    """How its maps are made: as asked for, or chosen on validation (``cam: auto``)."""
    restricted: bool
    """Of that data, and of those of a stage 1 that this one started from."""
    fold: tuple[int, int] | None
    """(fold of the training patients it never saw, number of folds); None for one that saw all."""
    dataset: str = ""
    """Name of the data set it was trained on."""
    distance: FilmDistance | None = None
    """How far a film lies from those; None where the checkpoint does not say (of earlier versions, or few data)."""


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A checkpoint's content, on the CPU; tensors and primitives only.

    Raises:
        CheckpointError: no such file, or one that is no whole checkpoint.
    """
    file = Path(path).expanduser()
    if file.is_dir() and str(path):
        raise CheckpointError(f"{path}: is a folder; name the checkpoint in it (stage1/best.ckpt of a run)")
    if not file.is_file():
        raise CheckpointError(f"{path}: no such checkpoint; train the stage first (make stage1, make stage2)")
    try:
        checkpoint = torch.load(file, weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises many kinds for a broken file
        raise CheckpointError(
            f"{path}: not a whole checkpoint ({type(error).__name__}); it was cut short or is another kind of "
            "file. Where a training of yours wrote it, remove it: the same training goes on from the one before it"
        ) from error
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("state_dict"), dict):
        raise CheckpointError(f"{path}: holds no checkpoint of a training; name a best.ckpt or last.ckpt")
    return checkpoint


def load_stage1(path: str | Path, trainable: bool = False) -> Stage1:
    """Read a stage-1 checkpoint; ``trainable``: whoever takes its network freezes what is not trained on.

    Raises:
        CheckpointError: no such file, or a checkpoint of another module or an earlier version, or one whose weights do
            not fit.
    """
    return stage1_of(read_checkpoint(path), path, trainable)


def classifier_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's part of a module's state, by the network's own names."""
    return {name.removeprefix(PREFIX): tensor for name, tensor in state.items() if name.startswith(PREFIX)}


def refuse_earlier(checkpoint: Mapping[str, Any], what: str) -> None:
    """A checkpoint of before heads ``per_query`` read with what their query asked for: what is head ``untied`` now.

    Args:
        checkpoint: of stage 1. what: it, for the message.

    Raises:
        CheckpointError: it is.
    """
    config = checkpoint.get("classifier_config", {})  # sharded ones have neither; their weights come later
    if config.get("head") == "per_query" and f"{PREFIX}head.weight" in checkpoint.get("state_dict", {}):
        raise CheckpointError(
            f"{what}: was trained by an earlier version, whose heads had weights of their own (head.weight; head "
            "untied now); train stage 1 again, under another RUN or after its folder was removed"
        )


def stage1_of(checkpoint: Mapping[str, Any], path: str | Path, trainable: bool = False) -> Stage1:
    """:func:`load_stage1` of a checkpoint that was read; ``path`` is for messages."""
    if not {"classifier_config", "classifier_fingerprint", "provenance"} <= checkpoint.keys():
        module = checkpoint.get("provenance", {}).get("module", "another module")
        raise CheckpointError(f"{path}: holds {module}, not DiseaseClassification; name a checkpoint of stage 1")
    refuse_earlier(checkpoint, str(path))
    classifier = DiseaseClassifier.from_config(checkpoint["classifier_config"])
    try:
        classifier.load_state_dict(classifier_weights(checkpoint["state_dict"]), strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its weights do not fit its own settings: {error}") from error
    fingerprint = tensors_fingerprint(classifier.state_dict())
    if fingerprint != checkpoint["classifier_fingerprint"]:
        raise CheckpointError(
            f"{path}: weights have fingerprint {fingerprint}, the file says "
            f"{checkpoint['classifier_fingerprint']}: it was changed or is damaged; train stage 1 again"
        )
    kept = checkpoint["provenance"]
    fold = kept.get("left_out_fold")
    if not trainable:
        classifier.requires_grad_(False)
    classifier.eval()
    classifier.encoder.check_films(kept["image_size"])  # of these its maps and regions will be
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


def distance_of(checkpoint: Mapping[str, Any], what: str) -> FilmDistance | None:
    """The distance that a checkpoint of stage 1 keeps; None where it has none.

    Raises:
        CheckpointError: something else stands there.
    """
    state = checkpoint.get("film_distance")
    return None if state is None else FilmDistance.from_state(state, what)
