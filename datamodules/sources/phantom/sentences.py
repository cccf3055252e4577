"""Writes the report of a plan, and derives the labels that the report states."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from ammrg.findings import BLANK, FINDINGS, NEGATIVE, NO_FINDING, POSITIVE, UNCERTAIN, no_finding_label
from datamodules.sources.phantom import placed_wordings, wordings
from datamodules.sources.phantom.choice import choose
from datamodules.sources.phantom.place_phrases import say_place
from datamodules.sources.phantom.plan import StudyPlan
from datamodules.sources.phantom.signs import Sign

_READING_ORDER: tuple[tuple[str, ...], ...] = (
    ("Cardiomegaly", "Enlarged Cardiomediastinum"),
    ("Lung Opacity", "Consolidation", "Pneumonia", "Edema", "Atelectasis", "Lung Lesion"),
    ("Pleural Effusion", "Pneumothorax", "Pleural Other"),
    ("Fracture",),
    ("Support Devices",),
)
"""Order of the findings section: heart and mediastinum, lungs, pleura, bones, devices."""

_LUNG_SIGNS = _READING_ORDER[1]
_BOOKS = {1: wordings, 2: placed_wordings}
"""Version of the phantom -> its phrase book of present and uncertain findings."""
_BEFORE_VOWEL = re.compile(r"\b([Aa]) (?=[aeiou])")
_DENIED: dict[str, float] = {
    "Enlarged Cardiomediastinum": 0.65,
    "Cardiomegaly": 0.85,
    "Lung Opacity": 0.20,
    "Lung Lesion": 0.12,
    "Edema": 0.35,
    "Consolidation": 0.55,
    "Pneumonia": 0.12,
    "Atelectasis": 0.06,
    "Pneumothorax": 0.75,
    "Pleural Effusion": 0.75,
    "Pleural Other": 0.05,
    "Fracture": 0.30,
    "Support Devices": 0.05,
}
"""Probability that a report mentions the absence of a finding."""


class Report(NamedTuple):
    """The three texts of a study, and the 14 labels that the findings section states."""

    findings: str
    impression: str
    indication: str
    labels: tuple[float, ...]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _key(sign: Sign) -> str:
    return f"{sign.finding}/{sign.variant}" if sign.variant else sign.finding


def _fill(template: str, sign: Sign, rng: np.random.Generator) -> str:
    step = 0 if sign.uncertain or sign.size < 0.35 else 1 if sign.size < 0.7 else 2
    words = {
        "side": sign.side,
        "zone": sign.zone,
        "size": ("small", "moderate", "large")[step],
        "degree": ("mild", "moderate", "severe")[step],
    }
    capitals = {_capital(name): _capital(word) for name, word in words.items()}
    if "{at}" not in template:
        return _capital(template.format(**words, **capitals))
    place = say_place(sign, "{where}" in template, rng)
    number = {"a": "", "s": "s", "is": "are"} if len(sign.sides) > 1 else {"a": "a ", "s": "", "is": "is"}
    text = template.format(**words, **number, where=place.where, at=place.at)
    if place.opening:
        text = f"{place.opening}, {text[:1].lower()}{text[1:]}"
    return _capital(_BEFORE_VOWEL.sub(r"\1n ", text))


def _doubt(noun: str, sign: Sign, rng: np.random.Generator) -> str:
    return _fill(choose(wordings.UNCERTAIN, rng).format(noun=noun, Noun=noun), sign, rng)


def _denials(absent: set[str], rng: np.random.Generator) -> dict[str, str]:
    """Sentences that deny absent findings, each by the finding at whose place it is written."""
    said: dict[str, str] = {}
    left = set(absent)
    for findings, options in wordings.ABSENT.items():
        joint = len(findings) > 1
        if left.issuperset(findings) and (not joint or rng.random() < 0.8):
            said[findings[0]] = choose(options, rng)
            left -= set(findings)
    return said


def write_report(plan: StudyPlan) -> Report:
    """Write the report of a plan; the findings section is in anatomical order and mostly has 30 to 90 words."""
    rng = np.random.default_rng([*plan.seed, 4])
    book = _BOOKS[plan.version]
    signs = {sign.finding: sign for sign in plan.signs}
    chances = rng.random(len(FINDINGS))
    absent = {
        finding
        for finding, chance in _DENIED.items()
        if finding not in signs and chances[FINDINGS.index(finding)] < chance
    }
    denials = _denials(absent, rng)

    sentences: list[str] = []
    for group in _READING_ORDER:
        order = [finding for finding in group if finding in signs] + [f for f in group if f in denials]
        if group == _LUNG_SIGNS and not any(finding in signs for finding in group):
            sentences.append(choose(wordings.NORMAL_LUNGS, rng))
        for finding in order:
            if finding in denials:
                sentences.append(denials[finding])
            elif signs[finding].uncertain:
                sentences.append(_doubt(book.UNCERTAIN_NOUNS[_key(signs[finding])], signs[finding], rng))
            else:
                sentences.append(_fill(choose(book.PRESENT[_key(signs[finding])], rng), signs[finding], rng))
        if group == ("Fracture",) and "Fracture" not in signs and "Fracture" not in denials and rng.random() < 0.9:
            sentences.append(choose(wordings.NORMAL_BONES, rng))
    if rng.random() < 0.6:
        sentences.append(choose(wordings.CLOSING, rng))

    lines = []
    for group in _READING_ORDER:
        for finding in group:
            if finding in signs:
                sign = signs[finding]
                noun, line = book.UNCERTAIN_NOUNS[_key(sign)], book.SHORT[_key(sign)]
                lines.append(_doubt(noun, sign, rng) if sign.uncertain else _fill(line, sign, rng))
    impression = " ".join(lines) if lines else choose(wordings.NORMAL_IMPRESSION, rng)
    return Report(" ".join(sentences), impression, choose(wordings.INDICATIONS, rng), labels_of(plan, absent))


def labels_of(plan: StudyPlan, denied: set[str]) -> tuple[float, ...]:
    """The 14 labels: 1 or -1 for the plan's signs, 0 for findings that the report denies, NaN for all others."""
    labels = [BLANK] * len(FINDINGS)
    for finding in denied:
        labels[FINDINGS.index(finding)] = NEGATIVE
    for sign in plan.signs:
        labels[FINDINGS.index(sign.finding)] = UNCERTAIN if sign.uncertain else POSITIVE
    labels[NO_FINDING] = no_finding_label(labels)
    return tuple(labels)
