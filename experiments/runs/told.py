"""Measures on validation reports whether a language model writes what it is told."""

from __future__ import annotations

from pathlib import Path

MOST = 150
"""Most validation reports that are written."""
PHANTOM = "data/phantom"


def print_told(model: str, data: Path | None, drafts: int = 0) -> None:
    """Print :func:`ammrg.networks.told.told_scores` of a language model on validation reports.

    Args:
        model: folder or hub id, read in NF4; or the folder of a run, whose language model is read with what it learned,
            and told in the words of the run's instruction, if these name findings.
        data: prepared folder; None takes the run's, or for a model alone :data:`PHANTOM`.
        drafts: see ``told_scores``.

    Raises:
        CheckpointError: the run cannot be opened, see :meth:`experiments.runs.run.Run.model`.
        DataError: there are no prepared data in ``data``.
        MemoryBankError: a bank of the run is missing, see the same.
        SettingsError: ``drafts`` is negative, or the model cannot be loaded.
    """
    from ammrg.networks.decoding import check_decoding
    from datamodules.prepared import load_split
    from experiments.runs.run import Run

    check_decoding({"drafts": drafts})
    # What is not there and has more slashes than a hub id can only be meant as a run.
    absent = model.count("/") > 1 and not Path(model).is_dir()
    run = Run(model) if absent or (Path(model) / "stage2").is_dir() else None
    folder = data or (PHANTOM if run is None else run.data.prepared.location)
    reports = [text for text in load_split(folder, "val")["report"] if text.strip()][:MOST]
    from ammrg.networks.language_model import LanguageModel
    from ammrg.networks.told import TOLD, telling, told_in_words, told_scores

    if run is None:
        language_model, template = LanguageModel(model), TOLD
    else:
        network = run.model().network
        language_model, template = network.language_model, telling(network.instruction)
    scores = told_scores(language_model, reports, template, drafts=drafts)
    print(f"{model}, {len(reports)} validation reports: {told_in_words(scores)}")
