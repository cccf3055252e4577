"""Checks of the settings of stage 1, made before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ammrg.errors import SettingsError
from ammrg.networks.class_activation import methods_of
from ammrg.networks.disease_classifier import DiseaseClassifier, PerQueryHead
from ammrg.networks.mining import check_settings as check_mining
from ammrg.ranges import check_ranges

ABOVE_ZERO = ("lr", "encoder_lr_decay", "bootstrap")
NOT_NEGATIVE = ("encoder_lr_scale", "weight_decay", "warmup_steps", "token_loss", "place_loss", "report_terms")


def check_numbers(settings: Mapping[str, Any]) -> None:
    """Refuse numbers out of range.

    Args:
        settings: the arguments of DiseaseClassification, by name.

    Raises:
        SettingsError: a number is out of range; the message names the first.
    """
    check_ranges(
        settings, above_zero=ABOVE_ZERO, not_negative=NOT_NEGATIVE, shares=("final_lr_fraction", "encoder_lr_decay")
    )


def check_token_loss(settings: Mapping[str, Any], classifier: DiseaseClassifier) -> None:
    """Refuse a token loss for a network without a head per query.

    Raises:
        SettingsError: ``token_loss`` is on and the head is ``pooled``.
    """
    if settings["token_loss"] and not isinstance(classifier.head, PerQueryHead):
        raise SettingsError(
            f"model.token_loss: found {settings['token_loss']} with head {settings['head']!r}; the token loss needs "
            "the weights of a head per query. Set model.token_loss to 0, or model.head to per_query or untied."
        )


def check_maps(settings: Mapping[str, Any], classifier: DiseaseClassifier) -> None:
    """Refuse settings of maps and regions that do not fit the network.

    They are first used after training, so a wrong one would otherwise be found late.

    Raises:
        SettingsError: the map method is unknown or impossible with this head, or a region setting is invalid.
    """
    allowed = methods_of(classifier)
    if settings["cam"] not in (*allowed, "auto"):
        raise SettingsError(
            f"model.cam: found {settings['cam']!r} with head {settings['head']!r}, must be one of "
            f"{', '.join(allowed)} or auto."
        )
    check_mining(settings["region_form"], settings["region_tokens"], settings["regions"] or {})


def named_splits(names: list[str] | None) -> list[str]:
    """The names of the test dataloaders; ``test`` if none is given.

    Raises:
        SettingsError: a name occurs twice, or contains a dot, which torch does not allow in a submodule's name.
    """
    splits = names or ["test"]
    if len(set(splits)) < len(splits) or any("." in split for split in splits):
        raise SettingsError(f"model.test_splits: found {splits}; names must differ and contain no dot.")
    return splits
