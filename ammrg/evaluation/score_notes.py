"""Sentences on how scores were computed: the cleaner and cut of each protocol, and whether intervals hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ammrg.evaluation.verdicts import Sentence
from ammrg.metrics.bootstrap import FEW_PATIENTS, FEW_RESAMPLES, FEWEST_PATIENTS
from ammrg.metrics.protocols import CUT_FOR


def notes(meta: Mapping[str, Any]) -> list[Sentence]:
    """The sentences on how the scores were computed.

    Args:
        meta: ``meta`` of scores.json.
    """
    found = few_patients(meta)
    cut = {name: settings for name, settings in meta["protocols"].items() if name != "full"}
    for name, settings in cut.items():
        length = f"{settings['words']} words" if "words" in settings else f"{settings['subtokens']} sub-tokens"
        line = f"{name}: cleaner and cut of {meta['dataset']} ({meta['dataset_from']}), references cut to {length}"
        if "vocabulary" in settings:
            known = settings["vocabulary"]
            line += f", {known} words known" if known is not None else ", every word known (no --train-texts given)"
        found.append(Sentence(f"{line}.", False))
    if not cut and meta["dataset"] not in CUT_FOR:
        which = "no data set is given" if meta["dataset"] is None else f"{meta['dataset']} has none"
        text = (
            f"Only full is scored: the cleaners and cuts of r2gen and r2gengpt depend on the data set, and {which}; "
            f"name one with --dataset ({', '.join(CUT_FOR)})."
        )
        found.append(Sentence(text, False))
    return found + few_resamples(meta)


def few_patients(meta: Mapping[str, Any]) -> list[Sentence]:
    """A sentence if there are too few patients for good intervals, or for any; none without resamples."""
    patients = meta["patients"]
    if not meta["bootstrap"]["resamples"] or patients >= FEW_PATIENTS:
        return []
    named = patients_in_words(patients)
    if patients >= FEWEST_PATIENTS:
        return [Sentence(f"Few patients: intervals over {named} are narrower than they should be.", False)]
    text = (
        f"TOO FEW PATIENTS FOR AN INTERVAL: {named}, at least {FEWEST_PATIENTS} are needed. So there are no "
        "intervals, and no comparisons with baselines and guards."
    )
    return [Sentence(text, True)]


def few_resamples(meta: Mapping[str, Any]) -> list[Sentence]:
    """A sentence if there are too few resamples for good intervals."""
    resamples = meta["bootstrap"]["resamples"]
    if not 0 < resamples < FEW_RESAMPLES or meta["patients"] < FEWEST_PATIENTS:
        return []
    text = f"Few resamples: the ends of intervals over {resamples} are mostly chance; give at least {FEW_RESAMPLES}."
    return [Sentence(text, False)]


def patients_in_words(number: int) -> str:
    """A number of patients, as in "1 patient" or "2 patients"."""
    return f"{number} patient{'s' if number > 1 else ''}"
