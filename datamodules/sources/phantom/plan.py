"""Plans a study before it is drawn: findings that occur together, and their sides, zones and sizes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ammrg.findings import ABNORMAL, FINDINGS
from datamodules.sources.phantom.signs import Sign

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


class StudyPlan(NamedTuple):
    """The plan of a study, from which its films are drawn and its report is written."""

    study_id: str
    subject_id: str
    split: str
    projections: tuple[str, ...]
    signs: tuple[Sign, ...]
    seed: tuple[int, ...]
    """Root seed of all random numbers of this study."""

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
    """Draw a sign at a random place; its size is between ``smallest`` and 1, or 0 and 0.5 if uncertain."""
    side = "left" if rng.random() < 0.5 else "right"
    zone = ("upper", "mid", "lower")[int(rng.choice(3, p=(0.3, 0.35, 0.35)))]
    size = float(rng.uniform(0.0, 0.5) if uncertain else rng.uniform(smallest, 1.0))
    variant = ""
    if finding == "Support Devices":
        variant = ("pacemaker", "port", "tube", "wires")[int(rng.choice(4, p=(0.35, 0.25, 0.2, 0.2)))]
    elif finding == "Fracture" and rng.random() < 0.2:
        variant = "clavicle"
    return Sign(finding, uncertain, side, zone, size, variant)


def plan_study(split: str, index: int, seed: int = 0) -> StudyPlan:
    """Plan study ``index`` (from 0) of a split, independently of all other studies."""
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
                signs.append(sample_sign(finding, False, sign_rng))
        elif present < likely.get(finding, 0.0) + _BACKGROUND:
            signs.append(sample_sign(finding, False, sign_rng))
        elif doubtful < _UNCERTAIN / 0.62:
            signs.append(sample_sign(finding, True, sign_rng))
    subject = _subject_number(split_seed, index, seed)
    return StudyPlan(
        study_id=str(50_000_000 + (split_seed - 10) * 1_000_000 + index),
        subject_id=str(10_000_000 + (split_seed - 10) * 1_000_000 + subject),
        split=split,
        projections=("frontal", "lateral") if rng.random() < _LATERAL else ("frontal",),
        signs=tuple(signs),
        seed=root,
    )
