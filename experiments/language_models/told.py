"""Measures on validation reports whether a language model writes what it is told."""

from __future__ import annotations

from pathlib import Path

MOST = 150
"""Most validation reports that are written."""


def print_told(model: str, data: Path, drafts: int = 0) -> None:
    """Print :func:`ammrg.networks.told.told_scores` of a language model in NF4 on validation reports.

    Args:
        model: folder or hub id.
        data: prepared folder.
        drafts: see ``told_scores``.

    Raises:
        DataError: there are no prepared data in ``data``.
        SettingsError: ``drafts`` is negative, or the model cannot be loaded.
    """
    from ammrg.networks.decoding import check_decoding
    from datamodules.prepared import load_split

    check_decoding({"drafts": drafts})
    reports = [text for text in load_split(data, "val")["report"] if text.strip()][:MOST]
    from ammrg.networks.language_model import LanguageModel
    from ammrg.networks.told import TOLD, told_in_words, told_scores

    scores = told_scores(LanguageModel(model), reports, TOLD, drafts=drafts)
    print(f"{model}, {len(reports)} validation reports: {told_in_words(scores)}")
