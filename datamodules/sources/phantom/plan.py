"""Plans a study before it is drawn: findings that occur together, and their sides, zones and sizes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ammrg.errors import SettingsError
from ammrg.findings import ABNORMAL, FINDINGS
from ammrg.text.place_words import LEVELS, SIDES
from datamodules.sources.phantom.anatomy import CENTRED, LOOSE, Positioning
from datamodules.sources.phantom.signs import DEVICES, SIDED_DEVICES, Sign

VERSIONS = (1, 2)
VERSION = 2
"""The version that is drawn by default.

1: sides and levels at random, some of them neither drawn nor said. 2: every sign has a side, and lung and pleural
signs a level, in the box as in the text.
"""

_SPLIT_SEEDS = {"train": 11, "val": 12, "test": 13}

_SHORT = {
    "mediastinum": "Enlarged Cardiomediastinum",
    "heart": "Cardiomegaly",
    "opacity": "Lung Opacity",
    "lesion": "Lung Lesion",
    "edema": "Edema",
    "consolidation": "Consolidation",
    "pneumonia": "Pneumonia",
    "atelectasis": "Atelectasis",
    "pneumothorax": "Pneumothorax",
    "effusion": "Pleural Effusion",
    "pleura": "Pleural Other",
    "fracture": "Fracture",
    "devices": "Support Devices",
}

# Name, share of studies, and probability of each finding in them: findings that occur together in a hospital.
_SYNDROMES: tuple[tuple[str, float, dict[str, float]], ...] = (
    ("normal", 0.27, {}),
    ("heart failure", 0.15, {"heart": 0.80, "edema": 0.74, "effusion": 0.50, "devices": 0.20}),
    ("infection", 0.15, {"pneumonia": 0.66, "consolidation": 0.62, "opacity": 0.46, "effusion": 0.18}),
    (
        "intensive care",
        0.13,
        {"devices": 0.62, "atelectasis": 0.56, "pneumothorax": 0.24, "effusion": 0.18, "opacity": 0.16},
    ),
    ("injury", 0.10, {"fracture": 0.92, "pneumothorax": 0.56, "mediastinum": 0.20, "pleura": 0.16}),
    ("tumour", 0.10, {"lesion": 0.88, "mediastinum": 0.60, "atelectasis": 0.26, "pleura": 0.18}),
    (
        "chronic",
        0.08,
        {"pleura": 0.76, "lesion": 0.30, "opacity": 0.30, "mediastinum": 0.30, "fracture": 0.26, "heart": 0.12},
    ),
)
_BACKGROUND = 0.025
_UNCERTAIN = 0.026
_LATERAL = 0.60
_SECOND_STUDY = 0.2
_BOTH_SIDES = {"Edema": 0.50, "Pleural Effusion": 0.30, "Atelectasis": 0.25}
"""Version 2: share of these findings, where present, that are on both sides."""
_ONE_HEIGHT = ("Cardiomegaly", "Enlarged Cardiomediastinum", "Support Devices")
"""Findings that are always drawn at the same height, so version 2 plans no level for them."""
_DEVICE_SHARES = (0.35, 0.25, 0.20, 0.20)
_CLAVICLES = 0.2
"""Share of the fractures that are of a clavicle."""


class StudyPlan(NamedTuple):
    """The plan of a study, from which its films are drawn and its report is written."""

    study_id: str
    subject_id: str
    split: str
    projections: tuple[str, ...]
    signs: tuple[Sign, ...]
    seed: tuple[int, ...]
    """Root seed of all random numbers of this study."""
    version: int = VERSION
    """Version of the phantom, out of :data:`VERSIONS`."""

    @property
    def positioning(self) -> Positioning:
        """How its films are taken."""
        return LOOSE if self.version == 1 else CENTRED

    def state(self, finding: str) -> str:
        """``present``, ``uncertain`` or ``absent``."""
        for sign in self.signs:
            if sign.finding == finding:
                return "uncertain" if sign.uncertain else "present"
        return "absent"


def _subject_number(split_seed: int, index: int, seed: int) -> int:
    """Patient number of a study; the second of two neighbouring studies sometimes has the patient of the first."""
    first = index - index % 2
    same = np.random.default_rng([seed, split_seed, first, 7]).random() < _SECOND_STUDY
    return first if same else index


def sample_sign(finding: str, uncertain: bool, rng: np.random.Generator, smallest: float = 0.0) -> Sign:
    """Draw a sign of version 1 at a random place.

    Its size is between ``smallest`` and 1, or 0 and 0.5 if uncertain.
    """
    side = "left" if rng.random() < 0.5 else "right"
    zone = LEVELS[int(rng.choice(3, p=(0.3, 0.35, 0.35)))]
    size = float(rng.uniform(0.0, 0.5) if uncertain else rng.uniform(smallest, 1.0))
    variant = ""
    if finding == "Support Devices":
        variant = DEVICES[int(rng.choice(4, p=_DEVICE_SHARES))]
    elif finding == "Fracture" and rng.random() < _CLAVICLES:
        variant = "clavicle"
    return Sign(finding, uncertain, side, zone, size, variant, size if finding == "Edema" and size > 0.45 else None)


def sample_placed_sign(finding: str, uncertain: bool, rng: np.random.Generator) -> Sign:
    """Draw a sign of version 2: sides and levels are equally likely, whatever the finding and the rest of the study."""
    side, zone = SIDES[int(rng.integers(2))], LEVELS[int(rng.integers(3))]
    size = float(rng.uniform(0.0, 0.5) if uncertain else rng.uniform(0.0, 1.0))
    device = SIDED_DEVICES[int(rng.choice(4, p=_DEVICE_SHARES))]
    clavicle, both, smaller = rng.random() < _CLAVICLES, rng.random(), float(rng.uniform(0.3, 1.0))
    variant = device if finding == "Support Devices" else "clavicle" if finding == "Fracture" and clavicle else ""
    if finding == "Cardiomegaly":
        side = ""
    if finding == "Pleural Effusion":
        zone = "lower"
    elif finding in _ONE_HEIGHT or variant == "clavicle":
        zone = ""
    is_both = not uncertain and both < _BOTH_SIDES.get(finding, 0.0)
    return Sign(finding, uncertain, side, zone, size, variant, smaller * size if is_both else None)


def plan_study(split: str, index: int, seed: int = 0, version: int = VERSION) -> StudyPlan:
    """Plan study ``index`` (from 0) of a split, independently of all other studies.

    Both versions plan the same findings; the places of version 2 are drawn anew.

    Raises:
        SettingsError: there is no such version.
    """
    if version not in VERSIONS:
        raise SettingsError(f"version {version} of the phantom: not known; give one of {', '.join(map(str, VERSIONS))}")
    sample = sample_sign if version == 1 else sample_placed_sign
    split_seed = _SPLIT_SEEDS[split]
    root = (seed, split_seed, index)
    rng = np.random.default_rng([*root, 0])
    shares = np.array([share for _, share, _ in _SYNDROMES])
    name, _, chances = _SYNDROMES[int(rng.choice(len(_SYNDROMES), p=shares / shares.sum()))]
    likely = {_SHORT[short]: chance for short, chance in chances.items()}
    signs = []
    for number in ABNORMAL:
        finding = FINDINGS[number]
        present, doubtful = rng.random(2)
        sign_rng = np.random.default_rng([*root, 1, number])
        if name == "normal":
            # A study with only a pacemaker still counts as "No Finding".
            if finding == "Support Devices" and present < 0.08:
                signs.append(sample(finding, False, sign_rng))
        elif present < likely.get(finding, 0.0) + _BACKGROUND:
            signs.append(sample(finding, False, sign_rng))
        elif doubtful < _UNCERTAIN / 0.62:
            signs.append(sample(finding, True, sign_rng))
    subject = _subject_number(split_seed, index, seed)
    return StudyPlan(
        study_id=str(50_000_000 + (split_seed - 10) * 1_000_000 + index),
        subject_id=str(10_000_000 + (split_seed - 10) * 1_000_000 + subject),
        split=split,
        projections=("frontal", "lateral") if rng.random() < _LATERAL else ("frontal",),
        signs=tuple(signs),
        seed=root,
        version=version,
    )
