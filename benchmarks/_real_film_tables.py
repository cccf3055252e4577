"""The tables of ``docs/real_films.md`` and of the README's films, from the result of :mod:`benchmarks.real_films`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks._dial_table import scores_at
from benchmarks._markdown import markdown
from benchmarks._seed_tables import interval
from benchmarks.seeds import cell, short

Case = Mapping[str, Any]
SCORES = {
    "bleu_4": "BLEU-4",
    "cider": "CIDEr",
    "clinical_micro_f1_13_neg": "clinical micro F1 (13)",
    "location_side_f1": "side F1",
    "location_level_f1": "level F1",
}
NORMAL_TOO = "clinical_micro_f1_14_neg"
"""The score in which it counts whether a normal film is called normal."""
OTHERS = {
    "nearest by predicted findings": "baselines/nearest_findings",
    "nearest by image": "baselines/nearest_image",
    "best constant, by CIDEr": "baselines/best_constant_cider",
}
SYSTEMS = {
    "**ours, trained by rewards**": ("reward", "ours"),
    "ours, supervised only": ("supervised", "ours"),
    "template of stage 1's findings and places": ("reward", "baselines/stage1_template"),
    **{label: ("reward", name) for label, name in OTHERS.items()},
    "random training report": ("reward", "baselines/random_training"),
    "ours, films shuffled": ("reward", "guards/images_shuffled"),
    "ours, both memories off": ("reward", "guards/memory_off"),
}
ONLY_IN_FULL = ("baselines/stage1_template", "baselines/random_training", "guards/memory_off")
IN_SHORT = {label: (phase, system) for label, (phase, system) in SYSTEMS.items() if system not in ONLY_IN_FULL}
"""The rows of the README."""
MINUS = {
    "supervised": "supervised",
    **OTHERS,
    "reports exchanged between patients": "guards/reports_exchanged",
    "films shuffled": "guards/images_shuffled",
    "another patient's memories": "guards/memory_shuffled",
}
REWARDS = {
    "CIDEr": "reward_cider",
    "clinical F1": "reward_clinical_f1",
    "side F1": "reward_side_f1",
    "all three": "reward_100",
    "all three, 200 steps": "reward",
    "all three, 400 steps": "reward_400",
}
SEEDS = {"0": "reward", "1": "reward_seed1", "2": "reward_seed2"}
"""Seed of the reward training -> phase."""


def cases(folder: Path) -> Sequence[Case]:
    """What is kept of the run."""
    found: Sequence[Case] = json.loads((folder / "real_films.json").read_text(encoding="utf-8"))["cases"]
    return found


def the(found: Sequence[Case], **fields: Any) -> Case:
    """The case with these fields.

    Raises:
        SystemExit: there is none.
    """
    for case in found:
        if all(case.get(name) == value for name, value in fields.items()):
            return case
    raise SystemExit(
        f"real_films.json: no case with {fields}; gather the run anew (python -m benchmarks.real_films RUN)"
    )


def reports(folder: Path) -> str:
    """The test studies' reports beside their baselines and guards."""
    found = cases(folder)
    rows = scored(found, SYSTEMS, list(SCORES))
    ours = the(found, split="test", phase="reward", system="ours")
    rows.append(["chance of the place", *(cell(ours.get(f"{key}_chance"), wide=False) for key in SCORES)])
    return markdown(["reports", *SCORES.values()], rows)


def reports_in_short(folder: Path) -> str:
    """The table of the README: fewer rows and scores."""
    keys = ("bleu_4", "cider", "clinical_micro_f1_13_neg")
    return markdown(["reports", *(SCORES[key] for key in keys)], scored(cases(folder), IN_SHORT, keys))


def scored(found: Sequence[Case], systems: Mapping[str, tuple[str, str]], keys: Sequence[str]) -> list[list[str]]:
    """A row for each system, ours with intervals."""
    rows = []
    for label, (phase, system) in systems.items():
        case = the(found, split="test", phase=phase, system=system)
        rows.append([label, *(cell(case.get(key), wide=system == "ours") for key in keys)])
    return rows


def differences(folder: Path) -> str:
    """Rewarded reports of the test studies minus others, in pairs."""
    found = [case for case in cases(folder) if case.get("split") == "test" and case.get("phase") == "reward"]
    labels = SCORES | {"clinical_micro_recall_13_neg": "recall (13)"}
    keys = (
        *("cider", "clinical_micro_f1_13_neg", "clinical_micro_recall_13_neg"),
        *("location_side_f1", "location_level_f1"),
    )
    rows = [
        [label, *(interval(case.get(key)) for key in keys)]
        for label, name in MINUS.items()
        for case in found
        if case.get("minus") == name
    ]
    return markdown(["minus", *(labels[key] for key in keys)], rows)


def rewards(folder: Path) -> str:
    """The validation studies' reports after each reward, minus the supervised ones, in pairs."""
    found = [case for case in cases(folder) if case.get("split") == "val" and "setting" not in case]
    keys = [*SCORES, NORMAL_TOO]
    before = the(found, phase="supervised", system="ours")
    rows = [["none: supervised", *(cell(before.get(key), wide=False) for key in keys), variety(before)]]
    for label, phase in REWARDS.items():
        if not any(case["phase"] == phase for case in found):
            continue  # nobody trained by it alone
        after, gap = the(found, phase=phase, system="ours"), the(found, phase=phase, minus="supervised")
        scores = (f"{cell(after.get(key), wide=False)} {interval(gap.get(key))}" for key in keys)
        rows.append([label, *scores, variety(after)])
    heads = [*SCORES.values(), "clinical micro F1 (14)", "texts; commonest; findings and sides; doubted"]
    return markdown(["rewards", *heads], rows)


def seeds(folder: Path) -> str:
    """Reports of the test and the validation studies after reward training with each seed, and their means."""
    rows = []
    for split in ("test", "val"):
        found = [case for case in cases(folder) if case.get("split") == split and "setting" not in case]
        ours = {seed: the(found, phase=phase, system="ours") for seed, phase in SEEDS.items()}
        for seed, case in ours.items():
            rows.append([f"{split}, seed {seed}", *(cell(case.get(key), wide=False) for key in SCORES)])
        means = (fmean(case[key]["value"] for case in ours.values()) for key in SCORES)
        rows.append([f"{split}, mean", *(short(mean) for mean in means)])
        before = the(found, phase="supervised", system="ours")
        rows.append([f"{split}, before", *(cell(before.get(key), wide=False) for key in SCORES)])
    return markdown(["reports", *SCORES.values()], rows)


def variety(case: Case) -> str:
    """Different texts; uses of the commonest; sets of findings and sides, and doubted findings, beside references'."""
    sets = f"{case['distinct_findings']} of {case['distinct_findings_of_references']}"
    doubts = f"{case['doubted']} of {case['doubted_by_references']}"
    return f"{case['distinct_texts']}; {case['commonest_text']}; {sets}; {doubts}"


def dial(folder: Path) -> str:
    """The validation studies' reports at each setting of the dial."""
    found = [case for case in cases(folder) if case.get("split") == "val" and case.get("phase") == "reward"]
    settings = {case["setting"]: case for case in found if "setting" in case and "system" in case}
    settings["0.5"] = next(case for case in found if "system" in case and "setting" not in case)
    return scores_at(settings)
