"""Measures on validation reports whether a language model writes what it is told."""

from __future__ import annotations

from pathlib import Path

MOST = 150
"""Most validation reports that are written."""


def print_told(model: str, data: Path) -> None:
    """Print :func:`ammrg.networks.told.told_scores` of a language model in NF4 on validation reports.

    Args:
        model: folder or hub id.
        data: prepared folder.

    Raises:
        DataError: there are no prepared data in ``data``.
        SettingsError: the model cannot be loaded.
    """
    from datamodules.prepared import load_split

    reports = [text for text in load_split(data, "val")["report"] if text.strip()][:MOST]
    from ammrg.networks.language_model import LanguageModel
    from ammrg.networks.told import TOLD, told_in_words, told_scores

    scores = told_scores(LanguageModel(model), reports, TOLD)
    print(f"{model}, {len(reports)} validation reports: {told_in_words(scores)}")
