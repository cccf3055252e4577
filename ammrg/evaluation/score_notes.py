"""What scores were computed with, in plain words: whose cleaner and cuts, and whether an interval can be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ammrg.evaluation.verdicts import Sentence
from ammrg.metrics.bootstrap import FEW_PATIENTS, FEWEST_PATIENTS
from ammrg.metrics.protocols import CUT_FOR


def notes(meta: Mapping[str, Any]) -> list[Sentence]:
    """The sentences about how it was scored.

    Args:
        meta: what scores.json says under this name.
    """
    said = []
    patients = meta["patients"]
    named = f"{patients} patient{'s' if patients > 1 else ''}"
    if meta["bootstrap"]["resamples"] and patients < FEWEST_PATIENTS:
        text = (
            f"TOO FEW PATIENTS FOR AN INTERVAL: {named}, at least {FEWEST_PATIENTS} are needed. Nothing is said of "
            "what other patients would give, nor beside baselines and guards."
        )
        said.append(Sentence(text, True))
    elif meta["bootstrap"]["resamples"] and patients < FEW_PATIENTS:
        said.append(Sentence(f"Few patients: intervals over {named} are narrower than they should be.", False))
    cut = {name: settings for name, settings in meta["protocols"].items() if name != "full"}
    for name, settings in cut.items():
        length = f"{settings['words']} words" if "words" in settings else f"{settings['subtokens']} sub-tokens"
        line = f"{name}: cleaner and cut of {meta['dataset']} ({meta['dataset_from']}), references cut to {length}"
        if "vocabulary" in settings:
            known = settings["vocabulary"]
            line += f", {known} words known" if known is not None else ", every word known (--train-texts: only theirs)"
        said.append(Sentence(f"{line}.", False))
    if not cut and meta["dataset"] not in CUT_FOR:
        which = "nothing says which" if meta["dataset"] is None else f"{meta['dataset']} has none"
        text = (
            f"Under full alone: the cleaners and cuts of r2gen and r2gengpt are a data set's, and {which}; name one "
            f"with --dataset ({', '.join(CUT_FOR)})."
        )
        said.append(Sentence(text, False))
    return said
