"""The inputs of scoring a file that come from the command's options, or from the files beside it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ammrg import __version__
from ammrg.errors import ScoringError
from ammrg.evaluation import outside_metrics, predictions
from ammrg.evaluation.reports_meta import dataset_beside
from ammrg.evaluation.scorer import Extra
from ammrg.evaluation.scoring import fingerprint
from ammrg.metrics.meteor import MeteorScorer
from ammrg.metrics.protocols import CUT_FOR, DEFAULT, protocol
from ammrg.text.labelers import Labeler, rule_based

SECTIONS = {"alarms", "differences", "location", "boxes", "recall", "invented", "faithfulness", "odd_texts"}
"""Parts of scores.json; one that lacks any is of an earlier version."""


def default_protocols(dataset: str | None) -> list[str]:
    """The protocols that are scored by default: ``full``, and ``r2gen`` if its data set is known."""
    return [name for name in DEFAULT if name == "full" or dataset in CUT_FOR]


def kept_against(out: Path) -> list[Path]:
    """Files of other systems that the scores in ``out`` were compared with; none where one is no longer there."""
    try:
        named = json.loads(out.read_text(encoding="utf-8"))["meta"]["against"]
        files = [out.parent / path for path in named]
    except (OSError, ValueError, LookupError, TypeError):
        return []
    return files if all(path.is_file() for path in files) else []


def kept_scores(
    out: Path,
    systems: Sequence[predictions.System],
    settings: dict[str, Any],
    train_texts: Sequence[str] | None,
    tokenizer: Path | None,
) -> Any:
    """The scores in ``out`` if they are complete and were made from the same inputs and settings, else None."""
    try:
        kept = json.loads(out.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(kept, dict) or not kept.keys() >= SECTIONS:
        return None
    meta = kept.get("meta", {})
    read = (protocol(name, settings["dataset"], train_texts, tokenizer) for name in settings["protocols"])
    same = (
        meta.get("inputs") == fingerprint(systems, train_texts, settings["recalled"])
        and meta.get("protocols") == {each.name: each.settings for each in read}
        and meta.get("bootstrap", {}).get("resamples") == settings["resamples"]
        and meta.get("bootstrap", {}).get("seed") == settings["seed"]
        and meta.get("dataset") == settings["dataset"]
        and meta.get("dataset_from") == settings["dataset_from"]
        and meta.get("labeler") == settings["labeler"].name
        and meta.get("extras") == [extra.name for extra in settings["extras"]]
        and (meta.get("meteor") == "present") == (settings["with_meteor"] and MeteorScorer.available())
        and meta.get("versions", {}).get("ammrg") == __version__
    )
    return kept if same else None


def chosen_dataset(options: argparse.Namespace, reports: Path) -> tuple[str | None, str]:
    """(the data set of the word metrics, or None; where its name comes from)."""
    return (options.dataset, "as --dataset says") if options.dataset else dataset_beside(reports)


def chosen_labeler(chexbert: str | None) -> Labeler:
    """The rule-based labeler, or CheXbert from a folder or the hub."""
    if chexbert is None:
        return rule_based()
    from ammrg.networks.chexbert import load_chexbert  # PyTorch and transformers take seconds to import

    return load_chexbert(chexbert)


def chosen_extras(options: argparse.Namespace) -> list[Extra]:
    """The metrics of other packages that the options name; no other package is imported.

    Raises:
        ScoringError: if radeval's metrics are named without its python, or there is no such encoder.
    """
    extras = []
    if options.bertscore:
        from ammrg.metrics.bert_score import BertScorer  # PyTorch and transformers take seconds to import

        scorer = BertScorer(options.bertscore, options.bertscore_layer)
        extras.append(Extra(scorer.name, scorer.per_study))
    if options.radeval:
        if options.radeval_python is None:
            raise ScoringError(
                f"--radeval: also name the python of an environment that has radeval. {outside_metrics.INSTALL}."
            )
        names = ", ".join(options.radeval)
        extras.append(
            Extra(f"radeval ({names})", partial(outside_metrics.per_study, options.radeval_python, options.radeval))
        )
    return extras
