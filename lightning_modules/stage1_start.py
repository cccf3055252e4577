"""Reads the weights of a stage 1 that was trained on other data, for another stage 1 to start from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ammrg.errors import CheckpointError, SettingsError
from ammrg.fingerprints import id_codes
from lightning_modules.stage1_checkpoint import PREFIX, read_checkpoint, stage1_of

OPTIONAL = ("token_bias", "terms_head.", f"{PREFIX}place_head.")
"""Heads that exist only with their loss (``token_loss``, ``report_terms``, ``place_loss``).

If only the old training has one, it is dropped; if only the new training has one, it starts from scratch.
"""
BROUGHT = (PREFIX, *OPTIONAL)
"""Prefixes of the weights that are taken: the network's, and those of the optional heads."""
OF_ITS_DATA = ("train_prevalence", "threshold_fallback", "chosen_cam")
"""Buffers that describe the old training data and are computed again; the prevalence corrects the heads' biases."""
FREE = (
    "views",
    "places",
    "encoder.gradient_checkpointing",
    "encoder.frozen_blocks",
    "encoder.frozen_statistics",
    "qformer.dropout",
    "qformer.blip2",
    "qformer.new_token_maps",
)
"""Network settings that may differ, because they do not change what the weights mean."""


class Start(NamedTuple):
    """The weights of another stage 1, with their history."""

    weights: dict[str, Tensor]
    """Weights by their names in the module."""
    prevalence: Tensor
    """``[14]``: share of positives among the studies they were trained on; NaN if no study was labelled."""
    origin: dict[str, Any]
    """Facts that later checkpoints record.

    They are ``network`` (fingerprint), ``dataset``, ``data_fingerprint``, ``image_size`` and ``restricted``.
    """
    seen_patients: Tensor
    """:func:`ammrg.fingerprints.id_codes` of the patients in its training data, and in those it started from."""


def read_start(path: str, config: Mapping[str, Any], held_out: Collection[str] = ()) -> Start:
    """Read a stage-1 checkpoint for another stage 1 to start from.

    Args:
        path: the checkpoint.
        config: :attr:`ammrg.networks.disease_classifier.DiseaseClassifier.config` of the network that takes the
            weights.
        held_out: ids of the validation and test patients. An id that occurs in both data sets counts as the same
            patient.

    Raises:
        CheckpointError: the file is missing, or is not a whole checkpoint of stage 1.
        SettingsError: the architecture differs (the message names every differing setting), or the network was trained
            on held-out patients.
    """
    try:
        checkpoint = read_checkpoint(path)
        stage1 = stage1_of(checkpoint, path)
    except CheckpointError as error:
        raise CheckpointError(f"model.start_from: {error}") from error
    theirs, ours = dict(_flat(stage1.classifier.config)), dict(_flat(config))
    differing = [key for key in sorted({**theirs, **ours}) if key not in FREE and theirs.get(key) != ours.get(key)]
    if differing:
        listed = "; ".join(f"{key}: {theirs.get(key)} there, {ours.get(key)} here" for key in differing)
        raise SettingsError(
            f"model.start_from {path}: the network has another architecture ({listed}); start from one that was "
            "trained with these settings, or use its settings"
        )
    seen = checkpoint.get("seen_patients")
    if seen is None:
        raise CheckpointError(
            f"model.start_from {path}: does not record the patients it was trained on, who may be validation or test "
            "patients here; train it again"
        )
    check_unseen(seen, held_out, f"model.start_from {path}")
    state = checkpoint["state_dict"]
    unknown = [name for name in state if not name.startswith(BROUGHT) and name not in OF_ITS_DATA]
    lacking = [name for name in OF_ITS_DATA if name not in state]
    if unknown or lacking:
        raise CheckpointError(
            f"model.start_from {path}: does not match the stage-1 checkpoints of this release (unknown: "
            f"{', '.join(unknown[:3]) or 'nothing'}; missing: {', '.join(lacking) or 'nothing'}); start from one that "
            "this release trained"
        )
    weights = {name: tensor for name, tensor in state.items() if name.startswith(BROUGHT)}
    origin = {
        "network": stage1.fingerprint,
        "dataset": checkpoint["provenance"]["dataset"],
        "data_fingerprint": stage1.data_fingerprint,
        "image_size": stage1.image_size,
        "restricted": stage1.restricted,
    }
    return Start(weights, state["train_prevalence"], origin, seen)


def fitting(weights: Mapping[str, Tensor], own: Mapping[str, Tensor], path: str) -> dict[str, Tensor]:
    """The weights to take: the network's, and those of each head in :data:`OPTIONAL` that both sides have.

    Args:
        weights: :attr:`Start.weights`.
        own: the state dict of the module that takes them.
        path: the checkpoint, for the message.

    Raises:
        CheckpointError: a weight is missing, left over or of another shape.
    """
    left_out = tuple(head for head in OPTIONAL if not (_within(weights, head) and _within(own, head)))
    theirs, ours = (
        {name: kept[name] for name in kept if name.startswith(BROUGHT) and not name.startswith(left_out)}
        for kept in (weights, own)
    )
    wrong = [f"{name} is missing there" for name in ours.keys() - theirs.keys()]
    wrong += [f"{name} is not known here" for name in theirs.keys() - ours.keys()]
    wrong += [
        f"{name} is {list(theirs[name].shape)} there, {list(ours[name].shape)} here"
        for name in theirs.keys() & ours.keys()
        if theirs[name].shape != ours[name].shape
    ]
    if wrong:
        raise CheckpointError(
            f"model.start_from {path}: {len(wrong)} weights do not fit ({'; '.join(sorted(wrong)[:3])}"
            f"{'; ...' if len(wrong) > 3 else ''}); start from one that this release trained"
        )
    return theirs


def _within(state: Mapping[str, Tensor], part: str) -> list[str]:
    return [name for name in state if name.startswith(part)]


def check_unseen(seen: Tensor, held_out: Collection[str], what: str) -> None:
    """Refuse weights that were trained on patients of the validation or test split.

    Args:
        seen: :func:`ammrg.fingerprints.id_codes` of the patients they were trained on.
        held_out: ids of the validation and test patients.
        what: name of the weights, for the message.

    Raises:
        SettingsError: some of these patients were in training; the message says how many.
    """
    known = int(torch.isin(id_codes(held_out), seen).sum())
    if known:
        raise SettingsError(
            f"{what}: was trained on {known} of the {len(set(held_out))} patients who are validation or test here, so "
            "scores would not be of unseen patients; use one trained on other patients, or on the same split"
        )


def _flat(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", list(value) if isinstance(value, tuple) else value
