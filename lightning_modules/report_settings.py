"""Checks of the settings of stage 2, made before anything is loaded or trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ammrg.errors import CheckpointError, SettingsError
from ammrg.networks.decoding import check_decoding
from ammrg.networks.trained_parts import PARTS
from ammrg.ranges import check_ranges
from ammrg.text.prompts import NAMING_FIELDS, template_fields
from lightning_modules.reward_training import check_reward
from lightning_modules.stage1_checkpoint import Stage1

ABOVE_ZERO = ("lr", "max_report_tokens", "generate_studies")
NOT_NEGATIVE = (
    *("lora_lr", "memory_lr", "qformer_lr", "encoder_lr", "weight_decay", "warmup_steps", "cache_films"),
    "replayed_studies",
    *(
        "association_loss",
        "report_association_loss",
        "own_region_loss",
        "own_report_loss",
        "shuffle_loss",
        "shuffle_margin",
        "abnormal_weight",
        "place_weight",
    ),
)


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse settings that are out of range or contradict each other.

    Args:
        settings: the arguments of ReportGeneration, by name.

    Raises:
        SettingsError: a setting is out of range, unknown, or does not fit the others; the message names the first.
    """
    check_ranges(settings, above_zero=ABOVE_ZERO, not_negative=NOT_NEGATIVE, shares=("final_lr_fraction",))
    if settings["named_findings"] == "labels" and not template_fields(settings["instruction"]) & NAMING_FIELDS:
        raise SettingsError(
            "model.named_findings: labels needs {findings} or {placed_findings} in model.instruction, where they are "
            "named"
        )
    check_parts(settings)
    check_reward(settings)
    check_decoding(settings["decoding"] or {})
    network = settings["network"] or {}
    pooled = network.get("pool_image_tokens")
    if pooled is not None and pooled < 1:
        raise SettingsError(
            f"model.network.pool_image_tokens ({pooled}) must be at least 1; to show no tokens set image_tokens: false"
        )


def check_parts(settings: Mapping[str, Any]) -> None:
    """Refuse contradictory settings of which parts are trained, and from which step.

    Args:
        settings: the arguments of ReportGeneration, by name.

    Raises:
        SettingsError: a part is unknown, ``unfreeze_at`` names a part that is not frozen, or stage 1 is trained while
            ``cross_fit`` has other networks read the training films.
    """
    frozen, later = frozen_parts(settings), dict(settings["unfreeze_at"] or {})
    if unknown := sorted(frozen - set(PARTS)):
        raise SettingsError(f"model.freeze: found {unknown[0]!r}, must be among {', '.join(PARTS)}")
    if never := sorted(set(later) - frozen):
        raise SettingsError(
            f"model.unfreeze_at: {never[0]} is trained from the start; name it in model.freeze "
            f"({', '.join(sorted(frozen)) or 'empty'}) too"
        )
    for part, step in later.items():
        if step < 0:
            raise SettingsError(f"model.unfreeze_at.{part} ({step}) is an optimizer step and must not be negative")
    if settings["cross_fit"] is not None and not {"encoder", "qformer"} <= frozen - set(later):
        raise SettingsError(
            "model.cross_fit reads training films with the folds' networks, so the stage 1 in use cannot be trained: "
            "name encoder and qformer in model.freeze, and not in model.unfreeze_at"
        )


def frozen_parts(settings: Mapping[str, Any]) -> set[str]:
    """The parts that are not trained from the start; by default those of stage 1."""
    return {"encoder", "qformer"} if settings["freeze"] is None else set(settings["freeze"])


def check_same_data(stage1: Stage1, path: str, fingerprint: str) -> None:
    """Refuse a stage 1 that was trained on other data: it may have seen studies that are now in the test split.

    Args:
        stage1: the network that stage 2 starts from.
        path: its checkpoint, for the message.
        fingerprint: fingerprint of the prepared data.

    Raises:
        CheckpointError: the network was trained on other data, or left a fold out.
    """
    if stage1.fold is not None:
        raise CheckpointError(
            f"model.stage1_checkpoint {path} was trained without a fold; name the checkpoint trained on all folds "
            "(model.cross_fit takes those of the folds)"
        )
    if stage1.data_fingerprint != fingerprint:
        raise CheckpointError(
            f"model.stage1_checkpoint {path} was trained on data {stage1.data_fingerprint}, but the prepared data have "
            f"fingerprint {fingerprint}; train stage 1 on the prepared data, or prepare the checkpoint's data again"
        )
