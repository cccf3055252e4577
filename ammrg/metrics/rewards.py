"""Rewards: how good one written report is beside the study's own report, for training by reinforcement.

All are functions of the two texts. Only training reports may be given: the idf, too, is theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from ammrg.errors import SettingsError
from ammrg.findings import ABNORMAL, FINDINGS, POSITIVE, UNCERTAIN
from ammrg.metrics.training_cider import TrainingCider
from ammrg.text.cleaning import normalise
from ammrg.text.labeler import label
from ammrg.text.places import finding_places

Reward = Callable[[str, str], float]
"""(text, reference) -> the reward."""
Item = TypeVar("Item")

REWARDS = ("cider", "clinical_f1", "side_f1")
TOLERANCE = 1.5
"""A text may be this many times as long, or as short, as its reference without loss."""
REPEATED = 3
"""Number of words whose repetition counts."""


def f1(found: Collection[Item], wanted: Collection[Item]) -> float:
    """F1 of two sets, in [0, 1]; 1 if both are empty, as nothing is missing and nothing invented."""
    if not found and not wanted:
        return 1.0
    return 2 * len(set(found) & set(wanted)) / (len(found) + len(wanted))


def vain_doubts(text: str, reference: str) -> set[str]:
    """The abnormal findings that a text calls possible while the reference denies them or is silent.

    They count as invented. Where a doubt cost nothing, IU X-Ray's reports came to doubt 274 findings where their
    references doubt 46 (experiments/LOG.md).
    """
    ours, theirs = label(text), label(reference)
    return {FINDINGS[i] for i in ABNORMAL if ours[i] == UNCERTAIN and theirs[i] not in (POSITIVE, UNCERTAIN)}


def clinical_f1(text: str, reference: str) -> float:
    """F1 of the abnormal findings that the labeler finds affirmed, in [0, 1].

    A doubted one counts as absent, and as invented if the reference has no such doubt.
    """
    found, wanted = (
        {FINDINGS[i] for i in ABNORMAL if values[i] == POSITIVE} for values in (label(text), label(reference))
    )
    return f1(found | vain_doubts(text, reference), wanted)


def side_f1(text: str, reference: str) -> float:
    """F1 of the pairs (affirmed finding, side), in [0, 1]; a bilateral finding has two, a vain doubt is a wrong one."""
    found, wanted = (
        {(finding, side) for finding, place in finding_places(each).items() for side in place.side}
        for each in (text, reference)
    )
    return f1(found | {(finding, "doubted") for finding in vain_doubts(text, reference)}, wanted)


def guard(text: str, reference: str) -> float:
    """Factor, in [0, 1], that takes the reward from texts that are too long, too short or repeat themselves.

    It is ``min(1, 1.5 n / m, 1.5 m / n) * min(1, d(text) / d(reference))`` for n words of the text, m of the reference,
    and d the share of distinct ones among a text's runs of three words (1 if there is none). An empty text has 0.
    """
    words, wanted = normalise(text).split(), normalise(reference).split()
    if not words or not wanted:
        return float(words == wanted)
    ratio = len(words) / len(wanted)
    return min(1.0, TOLERANCE * ratio, TOLERANCE / ratio) * min(1.0, _distinct(words) / _distinct(wanted))


def _distinct(words: Sequence[str]) -> float:
    runs = [tuple(words[start : start + REPEATED]) for start in range(len(words) - REPEATED + 1)]
    return len(set(runs)) / len(runs) if runs else 1.0


def rewards(names: Collection[str], training: Sequence[str]) -> dict[str, Reward]:
    """The rewards of these names: ``cider`` in [0, 10], with the idf of the training reports, and the others in [0, 1].

    Args:
        names: some of :data:`REWARDS`.
        training: the training reports; read only for ``cider``.
    """
    made: dict[str, Reward] = {"clinical_f1": clinical_f1, "side_f1": side_f1}
    if "cider" in names:
        score = TrainingCider(map(normalise, training))
        made["cider"] = lambda text, reference: score(normalise(text), normalise(reference))
    return {name: made[name] for name in REWARDS if name in names}


def check_weights(weights: Mapping[str, float], where: str) -> None:
    """Refuse weights of rewards that do not exist, that are negative or that are all 0.

    Args:
        weights: weight by name of the reward.
        where: name of the setting, for the message.

    Raises:
        SettingsError: the message names the first wrong one.
    """
    for name, weight in weights.items():
        if name not in REWARDS:
            raise SettingsError(f"{where}: found {name!r}, must be among {', '.join(REWARDS)}")
        if not 0 <= weight < float("inf"):
            raise SettingsError(f"{where}.{name} ({weight}) must not be negative or infinite")
    if not any(weights.values()):
        raise SettingsError(f"{where}: no reward has a weight above 0; give one of {', '.join(REWARDS)}")
