"""Places in stage 2: in the instruction, on the tokens, in the states, and in what the memories should recall."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from ammrg.errors import SettingsError
from ammrg.findings import FINDINGS
from ammrg.networks.disease_classifier import DiseaseClassifier
from ammrg.networks.places import ELEMENTS
from ammrg.networks.recall_targets import recall_targets
from ammrg.networks.report_network import ReportNetwork
from tests.tiny_encoder import ENCODER
from tests.tiny_stage2 import QFORMER, bank, batch, build

TEMPLATE = "{placed_findings} Go."


def placed(folder: Path, **settings: object) -> ReportNetwork:
    torch.manual_seed(3)
    classifier = DiseaseClassifier(ENCODER, QFORMER, places="queries")
    assert classifier.place_head is not None
    with torch.no_grad():  # untrained queries hardly differ between films
        classifier.place_head.layers[3].weight.mul_(30)
    return build(folder, classifier=classifier, **settings).eval()


def test_the_instruction_names_the_places_that_stage_1_reads(llm_folder: Path) -> None:
    network = placed(llm_folder, instruction=TEMPLATE)
    named = torch.zeros(3, 14, dtype=torch.bool)
    named[:, [FINDINGS.index("Pneumonia"), FINDINGS.index("Cardiomegaly")]] = True
    where = torch.zeros(3, 14, 5, dtype=torch.bool)
    where[0, :, [ELEMENTS.index("right"), ELEMENTS.index("upper")]] = True
    where[1, :, :2] = True
    told = network.prompt(batch(), named=named, placed=where).instructions
    assert told == [
        "Findings: cardiomegaly, right upper pneumonia. Go.",  # the heart has no side
        "Findings: cardiomegaly, bilateral pneumonia. Go.",
        "Findings: cardiomegaly, pneumonia. Go.",
    ]
    seen = network.see(batch().images)
    probabilities = network.places(seen, batch())
    assert probabilities is not None
    assert probabilities.shape == (3, 14, 5)
    assert network.prompt(batch(), named=named).instructions == (
        network.prompt(batch(), named=named, placed=network.placed(probabilities)).instructions
    )
    head = network.classifier.place_head
    assert head is not None
    head.thresholds.fill_(0.0)
    assert all(
        "bilateral upper mid lower pneumonia" in text for text in network.prompt(batch(), named=named).instructions
    )


def test_without_places_the_instruction_names_findings_only(llm_folder: Path) -> None:
    network = build(llm_folder, instruction=TEMPLATE).eval()
    named = torch.zeros(3, 14, dtype=torch.bool)
    named[:, FINDINGS.index("Pneumonia")] = True
    assert network.prompt(batch(), named=named).instructions == ["Findings: pneumonia. Go."] * 3


@pytest.mark.parametrize("option", ["place_tokens", "state_places"])
def test_options_that_need_places_are_refused_without_them(llm_folder: Path, option: str) -> None:
    with pytest.raises(SettingsError, match=f"network.{option} is on, but stage 1 was trained without places"):
        build(llm_folder, finding_tokens=True, **{option: True})
    with pytest.raises(SettingsError, match="place_tokens adds to what finding_tokens add"):
        build(llm_folder, place_tokens=True)
    with pytest.raises(SettingsError, match="image_positions adds to the image tokens"):
        build(llm_folder, image_tokens=False, image_positions=True)


def test_each_option_changes_only_its_own_tokens(llm_folder: Path) -> None:
    """A film has 36 image tokens; then come 14 tokens each of queries, regions and reports."""
    plain = placed(llm_folder, finding_tokens=True)
    streams = {"place_tokens": slice(36, 50), "image_positions": slice(0, 36), "state_places": slice(50, 78)}
    for option, own in streams.items():
        network = placed(llm_folder, finding_tokens=True, **{option: True})
        network.load_state_dict({**network.state_dict(), **plain.state_dict()})
        if network.state_places is not None:  # they start at zero
            torch.nn.init.normal_(network.state_places.own.weight)
            torch.nn.init.normal_(network.state_places.study.weight)
        change = (network.prompt(batch()).tokens[0] - plain.prompt(batch()).tokens[0]).abs().amax(-1)
        inside = torch.zeros(len(change), dtype=torch.bool)
        inside[own] = True
        assert change[inside].min() > 1e-6, option
        assert change[~inside].max() < 1e-6, option


def test_regions_to_recall_lie_in_the_place_of_the_report(llm_folder: Path) -> None:
    regions = bank("regions", 32)
    effusion = FINDINGS.index("Pleural Effusion")
    places = torch.zeros(len(regions), 5, dtype=torch.bool)
    places[:3, ELEMENTS.index("left")] = True
    places[3:, ELEMENTS.index("right")] = True
    regions = dataclasses.replace(regions, findings=torch.full_like(regions.findings, effusion), places=places)
    network = build(llm_folder, banks=(regions, bank("reports", 24)), exclude_self="none").eval()
    labels = torch.zeros(3, 14)
    labels[:, effusion] = 1
    reports = ["Left pleural effusion.", "Right pleural effusion.", "Pleural effusion."]
    asked = batch()._replace(labels=labels, reports=reports)
    wanted = network.memory("visual")._wanted(recall_targets(asked), own=False).patterns
    owned = regions.is_owned
    assert wanted.tolist() == [
        (places[:, 0] & owned).tolist(),
        (places[:, 1] & owned).tolist(),
        owned.tolist(),  # the report names no place
    ]
    assert network.memory("visual").associating(recall_targets(asked)) == 3


def test_reports_to_recall_are_alike_and_the_loss_is_that_of_their_mass(llm_folder: Path) -> None:
    texts = ("Left pleural effusion.", "Right pleural effusion.", "Clear lungs.") * 2
    stored = dataclasses.replace(bank("reports", 24), texts=texts)
    network = build(llm_folder, banks=(bank("regions", 32), stored)).eval()
    asked = batch()._replace(reports=["Left effusion.", "Normal.", "Pneumonia."])
    memory = network.memory("report")
    states = network.prompt(asked).states
    found, mask = memory.associations(asked, states)  # [b 14 n]
    assert mask is not None
    assert not mask.all()
    alike = torch.tensor([[t == texts[0] for t in texts], [t == texts[2] for t in texts], [False] * 6]) & mask
    assert memory.associating(recall_targets(asked)) == int(alike.any(1).sum())
    mass = (found.mean(1) * alike).sum(1)[alike.any(1)]
    expected = float(-mass.log().mean().detach())
    assert float(memory.association_loss(recall_targets(asked), states).detach()) == pytest.approx(expected, rel=1e-5)


def test_own_patterns_are_recalled_among_all_others(llm_folder: Path) -> None:
    network = build(llm_folder).eval()
    labels = torch.ones(3, 14)
    asked = batch()._replace(labels=labels)
    for kind in ("visual", "report"):
        memory = network.memory(kind)
        study, finding, allowed, wanted = memory._wanted(recall_targets(asked), own=True)
        assert allowed is None  # nothing is masked: the own patterns are what is asked for
        for row, number in enumerate(study.tolist()):
            mine = torch.tensor([asked.study_ids[number] in owners for owners in memory.bank.study_ids])
            expected = mine if finding is None else mine & (memory.findings == finding[row])
            assert wanted[row].equal(expected)
        assert 0 < memory.associating(recall_targets(asked), own=True) == int(wanted.any(1).sum())
        states = network.prompt(asked).states
        loss = memory.association_loss(recall_targets(asked), states, own=True)
        assert loss > 0
        loss.backward()
        assert memory.retrieval.query_weight.grad is not None


def test_what_is_recalled_first_is_judged_beside_chance(llm_folder: Path) -> None:
    regions = bank("regions", 32)
    places = torch.zeros(len(regions), 5, dtype=torch.bool)
    places[::2, ELEMENTS.index("left")] = True
    places[1::2, ELEMENTS.index("right")] = True
    regions = dataclasses.replace(regions, places=places)
    texts = ("Left pneumothorax.", "Right pneumothorax. Enlarged heart.", "Clear lungs.") * 2
    stored = dataclasses.replace(bank("reports", 24), texts=texts)
    network = build(llm_folder, banks=(regions, stored), exclude_self="none").eval()
    labels = torch.zeros(3, 14)
    labels[:, :6] = 1
    sides = ("Left", "Right", "Left")
    asked = batch()._replace(labels=labels, reports=[f"{side} pneumothorax. Enlarged heart." for side in sides])
    for kind in ("visual", "report"):
        memory, states, targets = network.memory(kind), network.prompt(asked).states, recall_targets(asked)
        first = memory.first_recalled(targets, states)
        found, _ = memory.associations(asked, states)  # [b 14 n]
        study, finding, _, wanted = memory._wanted(targets, own=False)
        expected = []
        for row, number in enumerate(study.tolist()):
            strongest = found[number].mean(0) if finding is None else found[number, finding[row]]
            among = len(memory.bank) if finding is None else int((memory.findings == finding[row]).sum())
            if wanted[row].any():
                expected.append((number, bool(wanted[row, strongest.argmax()]), int(wanted[row].sum()) / among))
        assert expected
        assert list(zip(first.study.tolist(), first.right.tolist(), strict=True)) == [each[:2] for each in expected]
        assert first.chance.tolist() == pytest.approx([each[2] for each in expected])
