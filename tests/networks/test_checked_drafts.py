"""Drafts that are drawn where a report does not say what the network found."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from ammrg.errors import SettingsError
from ammrg.findings import FINDINGS
from ammrg.networks.checked_drafts import Found, checked, mistakes
from ammrg.networks.decoding import check_decoding
from ammrg.networks.disease_classifier import DiseaseClassifier
from ammrg.networks.places import ELEMENTS
from tests.tiny_encoder import ENCODER
from tests.tiny_stage2 import QFORMER, batch, build

FOUND: Found = {"Pneumonia": ("right", "upper"), "Cardiomegaly": ()}
RIGHT = "The heart is enlarged. There is right upper lobe pneumonia. No pneumothorax."


@pytest.mark.parametrize(
    ("text", "found", "count"),
    [
        (RIGHT, FOUND, 0),
        ("Normal heart size. No pneumothorax.", {}, 0),
        ("The heart is enlarged.", FOUND, 1),  # pneumonia is missing
        ("Possible right upper lobe pneumonia. The heart is enlarged.", FOUND, 1),  # doubted: not affirmed
        (f"{RIGHT} There is a left pneumothorax.", FOUND, 2),  # invented, and denied before
        ("The heart is enlarged. Left upper lobe pneumonia.", FOUND, 2),  # left invented, right left out
        ("The heart is enlarged. Right pneumonia.", FOUND, 1),  # its level is left out
        (f"{RIGHT} No evidence of pneumonia.", FOUND, 1),  # affirmed and denied
        ("There is right lower lobe pneumonia.", {"Pneumonia": ()}, 2),  # a place that the network does not know
        ("", FOUND, 2),
        ("", {}, 0),
    ],
)
def test_mistakes_are_what_a_text_says_otherwise_than_the_network(text: str, found: Found, count: int) -> None:
    assert mistakes(text, found) == (count, 0)


def test_what_is_suspected_without_reason_is_the_less_grave_mistake() -> None:
    suspects = mistakes(f"{RIGHT} Possible small left effusion.", FOUND)
    assert suspects == (0, 1)
    assert mistakes(RIGHT, FOUND) < suspects < mistakes("The heart is enlarged.", FOUND)
    assert mistakes("Normal heart size. Possible pneumonia.", {}) == (0, 1)


def test_a_draft_without_a_suspicion_is_taken_only_if_it_states_no_less() -> None:
    text = f"{RIGHT} Possible edema. Possible effusion."
    assert checked([text], [FOUND], ["a"], lambda rows, seeds: ["The heart is enlarged."] * len(rows), 1) == [text]
    assert checked([text], [FOUND], ["a"], lambda rows, seeds: [RIGHT] * len(rows), 1) == [RIGHT]


def test_the_best_draft_is_kept_and_only_texts_with_mistakes_are_drawn_again() -> None:
    asked: list[list[int]] = []
    half = "The heart is enlarged."
    other = "Left upper lobe pneumonia. The heart is enlarged."
    drawn = iter([[half, *["no"] * 3], ["no", other, RIGHT, *["no"] * 5], ["no"]])

    def write(rows: list[int], seeds: list[int]) -> Sequence[str]:
        asked.append(rows)
        assert len(set(seeds)) == len(rows)
        return next(drawn)

    texts = ["", RIGHT, half]
    best = checked(texts, [FOUND] * 3, ["a", "b", "c"], write, drafts=7)
    assert best == [RIGHT, RIGHT, half]
    assert asked == [[0, 0, 2, 2], [0, 0, 0, 0, 2, 2, 2, 2], [2]]
    assert checked(texts, [FOUND] * 3, ["a", "b", "c"], write, drafts=0) == texts


@pytest.mark.parametrize("studies", [1, 3, 40])
@pytest.mark.parametrize("drafts", [1, 6, 24])
def test_rounds_find_what_drafts_one_after_another_find(studies: int, drafts: int) -> None:
    said = ["", "no", "The heart is enlarged.", "Right pneumonia.", RIGHT, f"{RIGHT} Left pneumothorax.", "", "no"]
    ids = [f"study-{number}" for number in range(studies)]
    asked: list[int] = []

    def draft(seed: int) -> str:
        return said[seed % len(said)] if seed % 5 == 0 else ""

    def write(rows: list[int], seeds: list[int]) -> list[str]:
        asked.append(len(rows))
        return [draft(seed) for seed in seeds]

    def one_by_one(study: str) -> str:
        every = [""] + [draft(zlib.crc32(f"{study} {number}".encode())) for number in range(drafts)]
        return min(every, key=lambda text: mistakes(text, FOUND))

    assert checked([""] * studies, [FOUND] * studies, ids, write, drafts) == [one_by_one(study) for study in ids]
    assert max(asked) <= max(16, studies)
    assert len(asked) <= 1 + drafts.bit_length() if studies == 1 else len(asked) <= drafts


def test_a_draft_depends_on_its_study_and_round_only() -> None:
    def run(ids: list[str]) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {each: [] for each in ids}

        def write(rows: list[int], given: list[int]) -> list[str]:
            for row, seed in zip(rows, given, strict=True):
                found[ids[row]].append(seed)
            return [""] * len(rows)

        checked([""] * len(ids), [FOUND] * len(ids), ids, write, drafts=3)
        return found

    seeds = run(["a", "b"])
    assert {**run(["a"]), **run(["b"])} == seeds
    assert len({seed for each in seeds.values() for seed in each}) == 6


def test_the_network_draws_again_what_it_did_not_find(llm_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    classifier = DiseaseClassifier(ENCODER, QFORMER, places="queries")
    network = build(llm_folder, classifier=classifier, instruction="{placed_findings} Go.").eval()
    head = network.classifier.place_head
    assert head is not None
    with torch.no_grad():
        network.naming_thresholds.fill_(1.0)
        for thresholds in (network.naming_thresholds, network.classifier.thresholds):
            thresholds.fill_(1.0)
            thresholds[[FINDINGS.index(name) for name in FOUND]] = 0.0  # found and named in every study
        head.bias[:] = torch.tensor([30.0 if name in ("right", "upper") else -30.0 for name in ELEMENTS])
    greedy = network.generate(batch())
    written, calls = network.language_model.generate, []

    def generate(tokens: Sequence[torch.Tensor], instructions: Sequence[str], **rest: Any) -> list[str]:
        """The language model itself; only its second drafts are replaced, since an untrained one says nothing right."""
        calls.append((list(instructions), rest.get("do_sample", False), rest["seeds"]))
        texts = written(tokens, instructions, **rest)
        return texts if len(calls) < 3 else [RIGHT] * len(texts)

    monkeypatch.setattr(network.language_model, "generate", generate)
    found = network.generate(batch(), drafts=8)
    assert [each.text for each in found] == [RIGHT] * 3
    assert [each._replace(text="") for each in found] == [each._replace(text="") for each in greedy]
    assert [sampled for _, sampled, _ in calls] == [False, True, True]
    assert calls[2][0] == ["Findings: cardiomegaly, right upper pneumonia. Go."] * 12  # four drafts of each study

    seeds = calls[2][2]
    calls.clear()
    shown: list[str] = []
    network.generate(batch().take([1]), drafts=8, on_text=shown.append)
    assert shown[-1] == RIGHT
    assert calls[2][2] == seeds[4:8]


def test_drafts_are_a_setting_of_decoding() -> None:
    check_decoding({"drafts": 8, "max_new_tokens": 20})
    with pytest.raises(SettingsError, match=r"decoding\.drafts \(-1\) must be at least 0"):
        check_decoding({"drafts": -1})
