"""Checks of a data module's settings, made before a folder is opened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from ammrg.errors import SettingsError
from ammrg.ranges import check_ranges
from datamodules.dataset import Films

SMALLEST_IMAGE, LARGEST_IMAGE = 16, 2048
COUNTS = {"loader_timeout": "second", "batch_size": "study", "micro_batch_size": "study", "eval_batch_size": "study"}
CHOICES = {
    "films": get_args(Films),
    "views": ("all", "frontal"),
    "predict_split": ("train", "val", "test"),
    "test_splits": ("train", "val", "test"),
}


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse settings that are out of range or unknown.

    Args:
        settings: the arguments of :class:`datamodules.studies.StudyDataModule`, by name.

    Raises:
        SettingsError: a setting is out of range or unknown; the message names the first.
    """
    check_ranges(settings, root="data", not_negative=("num_workers",), shares=("repeat_threshold",), counts=COUNTS)
    side, fold, folds = settings["image_size"], settings["left_out_fold"], settings["folds"]
    if not SMALLEST_IMAGE <= side <= LARGEST_IMAGE:
        raise SettingsError(f"data.image_size ({side}) must lie between {SMALLEST_IMAGE} and {LARGEST_IMAGE} pixels")
    if fold is not None and not 0 <= fold < folds:
        raise SettingsError(f"data.left_out_fold ({fold}) must be one of data.folds ({folds}), from 0")
    for name, allowed in CHOICES.items():
        given = settings[name]
        for value in (given,) if isinstance(given, str) else given:
            if value not in allowed:
                raise SettingsError(f"data.{name} ({value}) must be one of {', '.join(allowed)}")
