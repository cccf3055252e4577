"""Sentences on how scores were computed: the cleaner and cut of each protocol, and whether intervals hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ammrg.evaluation.verdicts import Sentence
from ammrg.metrics.bootstrap import FEW_PATIENTS, FEWEST_PATIENTS
from ammrg.metrics.protocols import CUT_FOR


def notes(meta: Mapping[str, Any]) -> list[Sentence]:
    """The sentences on how the scores were computed.

    Args:
        meta: ``meta`` of scores.json.
    """
    found = []
    patients = meta["patients"]
    named = f"{patients} patient{'s' if patients > 1 else ''}"
    if meta["bootstrap"]["resamples"] and patients < FEWEST_PATIENTS:
        text = (
            f"TOO FEW PATIENTS FOR AN INTERVAL: {named}, at least {FEWEST_PATIENTS} are needed. So there are no "
            "intervals, and no comparisons with baselines and guards."
        )
        found.append(Sentence(text, True))
    elif meta["bootstrap"]["resamples"] and patients < FEW_PATIENTS:
        found.append(Sentence(f"Few patients: intervals over {named} are narrower than they should be.", False))
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
    return found
