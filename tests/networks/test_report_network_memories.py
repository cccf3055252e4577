"""What the report network recalls: never the study itself, nothing when off, the same in two steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ammrg.errors import SettingsError
from ammrg.memory.candidates import ExactSearch
from ammrg.networks import associative_memory
from ammrg.networks.associative_memory import Memories
from ammrg.networks.hopfield import HopfieldRetrieval
from ammrg.networks.recall_targets import recall_targets
from ammrg.types import StudyBatch
from tests.tiny_stage2 import STUDIES, batch, build, with_partners


def test_a_study_does_not_recall_itself(llm_folder: Path) -> None:
    for exclude, may_recall_itself in (("patient", False), ("study", False), ("none", True)):
        shown = build(llm_folder, exclude_self=exclude).eval().prompt(batch(), associations=7)
        for retrieval in (shown.regions, shown.reports):
            for row in range(3):
                own = (retrieval.indices[row] == 2 * row) | (retrieval.indices[row] == 2 * row + 1)
                assert bool(retrieval.weights[row][own].sum() > 0) is may_recall_itself


def test_a_patient_of_another_study_is_masked_too(llm_folder: Path) -> None:
    strangers = batch(("x0", "x1", "x2"))._replace(subject_ids=["ps0", "unseen", "unseen too"])
    shown = build(llm_folder, exclude_self="patient").eval().prompt(strangers, associations=7)
    own = shown.reports.indices[0] < 2
    assert shown.reports.weights[0][own].sum() == 0
    by_study = build(llm_folder, exclude_self="study").eval().prompt(strangers, associations=7)
    assert by_study.reports.weights[0][by_study.reports.indices[0] < 2].sum() > 0


def test_memories_off_silences_only_the_memories(llm_folder: Path) -> None:
    network = build(llm_folder).eval()
    on, off = network.prompt(batch()).tokens, network.prompt(batch(), memories="off").tokens
    for shown, silent in zip(on, off, strict=True):
        torch.testing.assert_close(shown[:-28], silent[:-28])
        assert silent[-28:].abs().max() == 0
        assert shown[-28:].abs().amax(1).min() > 0
    assert all(not report.regions and not report.reports for report in network.generate(batch(), memories="off"))


@pytest.mark.parametrize(("memories", "silent"), [("visual_off", "visual"), ("report_off", "report")])
def test_one_memory_can_be_silenced_alone(llm_folder: Path, memories: Memories, silent: str) -> None:
    network = build(llm_folder).eval()
    on, off = network.prompt(batch()).tokens, network.prompt(batch(), memories=memories).tokens
    for shown, changed in zip(on, off, strict=True):
        visual, report = changed[-28:-14], changed[-14:]
        assert (visual if silent == "visual" else report).abs().max() == 0
        kept = slice(-14, None) if silent == "visual" else slice(-28, -14)
        torch.testing.assert_close(changed[kept], shown[kept])
    for written in network.generate(batch(), memories=memories, max_new_tokens=3):
        assert bool(written.regions) is (silent != "visual")
        assert bool(written.reports) is (silent != "report")


def test_shuffled_memories_are_those_of_another_study(llm_folder: Path) -> None:
    """Of the partner, whatever the batch; in it the study itself owns nothing."""
    network = build(llm_folder).eval()
    given = with_partners(batch())
    assert given.partner is not None
    on, others = network.prompt(given, associations=3), network.prompt(given.partner, associations=3, hidden_from=given)
    shuffled = network.prompt(given, "shuffled", associations=3)
    assert shuffled.regions is not None
    assert others.regions is not None
    assert torch.equal(shuffled.regions.indices, others.regions.indices)
    for row in range(3):
        torch.testing.assert_close(shuffled.tokens[row][:-28], on.tokens[row][:-28])
        torch.testing.assert_close(shuffled.tokens[row][-28:], others.tokens[row][-28:])
        assert not torch.allclose(shuffled.tokens[row][-28:], on.tokens[row][-28:])
        alone = network.prompt(given.take([row]), "shuffled").tokens[0]
        torch.testing.assert_close(alone, shuffled.tokens[row])
    with pytest.raises(SettingsError, match="the batch has no partners"):
        network.prompt(batch(), "shuffled")


def labelled(*positives: tuple[int, int]) -> StudyBatch:
    labels = torch.zeros(3, 14)
    for study, finding in positives:
        labels[study, finding] = 1.0
    return batch()._replace(labels=labels)


@pytest.mark.parametrize("exclude", ["study", "patient", "none"])
def test_no_training_step_gives_weight_to_its_own_study(llm_folder: Path, exclude: str) -> None:
    network = build(llm_folder, exclude_self=exclude).train()
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2)
    examples = labelled((0, 0), (1, 2), (2, 4))
    owned = {
        name: torch.tensor([[study in owners for owners in bank.study_ids] for study in STUDIES])
        for name, bank in (("visual", network.visual_bank), ("report", network.report_bank))
        if bank is not None
    }
    given: dict[str, Tensor] = {}

    def remember(name: str) -> Callable[[HopfieldRetrieval, tuple[Any, ...]], None]:
        def hook(module: HopfieldRetrieval, inputs: tuple[Any, ...]) -> None:
            given[name] = module.associations(*inputs)

        return hook

    for name, retrieval in network.retrievals.items():
        retrieval.register_forward_pre_hook(remember(name))
    for _ in range(3):
        shown = network.prompt(examples)
        assert set(given) == {"visual", "report"}
        for name, found in given.items():
            own = (found.detach() * owned[name][:, None, None]).sum()
            assert bool(own == 0) is (exclude != "none"), name
        optimizer.zero_grad()
        (
            network(examples, shown) + network.memory("visual").association_loss(recall_targets(examples), shown.states)
        ).backward()
        optimizer.step()


def test_the_association_loss_teaches_queries_to_recall_their_own_finding(llm_folder: Path) -> None:
    network = build(llm_folder).train()
    bank_ = network.visual_bank
    assert bank_ is not None
    assert bank_.region_findings.tolist() == [0, 1, 2, 3, 4, 5, -1]
    # finding 2 has a region of study 1 alone: for study 1 itself there is none to recall
    examples = labelled((0, 2), (0, 5), (1, 2), (2, 1))
    states = network.prompt(examples).states
    found, may_recall = network.memory("visual").associations(examples, states)
    assert may_recall is not None
    assert bool((found.sum(1) > 0).logical_or(~may_recall).all())
    assert bool((found.sum(1)[~may_recall] == 0).all())
    expected = -torch.stack([found[0, 2, 2], found[0, 5, 5], found[2, 1, 1]]).log().mean()
    torch.testing.assert_close(network.memory("visual").association_loss(recall_targets(examples), states), expected)
    optimizer = torch.optim.AdamW(network.retrievals["visual"].parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        network.memory("visual").association_loss(recall_targets(examples), states).backward()
        optimizer.step()
    found, _ = network.memory("visual").associations(examples, states)
    for study, finding in ((0, 2), (0, 5), (2, 1)):
        assert int(found[study, finding].argmax()) == finding
    with pytest.raises(SettingsError, match="visual_memory is off"):
        build(llm_folder, visual_memory=False).memory("visual").association_loss(recall_targets(examples), states)


def test_retrieval_in_two_steps_masks_and_explains_as_the_whole_does(
    llm_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    class Exact(ExactSearch):
        def __init__(self, patterns: Tensor, visited: int) -> None:
            super().__init__(patterns)
            assert visited == 3

        def __call__(self, probes: Tensor, count: int) -> Tensor:
            asked.append(count)
            return super().__call__(probes, count)

    monkeypatch.setattr(associative_memory, "FaissSearch", Exact)
    whole, two_steps = build(llm_folder).eval(), build(llm_folder, two_step={"candidates": 7, "visited": 3}).eval()
    for ours, theirs in zip(two_steps.prompt(batch()).tokens, whole.prompt(batch()).tokens, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert asked == [7, 6]  # of seven regions and six reports
    few = build(llm_folder, two_step={"candidates": 1, "visited": 3}).eval().prompt(batch(), associations=7)
    assert few.regions is not None
    for row in range(3):
        own = (few.regions.indices[row] == 2 * row) | (few.regions.indices[row] == 2 * row + 1)
        assert few.regions.weights[row][own].sum() == 0
    torch.testing.assert_close(few.regions.weights.sum(-1), torch.ones(3, 14))


def test_what_is_measured_and_trained_of_associations_is_what_two_steps_recall(
    llm_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Exact(ExactSearch):
        def __init__(self, patterns: Tensor) -> None:
            super().__init__(patterns)

    monkeypatch.setattr(associative_memory, "FaissSearch", Exact)
    network = build(llm_folder, two_step={"candidates": 3}).eval()
    examples = labelled((0, 2), (0, 5), (1, 2), (2, 1))
    shown = network.prompt(examples, associations=7)
    assert shown.regions is not None
    found, _ = network.memory("visual").associations(examples, shown.states)
    expected = torch.zeros(3, 14, 7).scatter_add(-1, shown.regions.indices, shown.regions.weights)
    torch.testing.assert_close(found, expected.detach())
    assert int((found == 0).sum()) > 3 * 14  # three candidates for each of two heads, of five to seven
    tiny = torch.finfo(torch.float32).tiny
    mass = torch.stack([found[0, 2, 2], found[0, 5, 5], found[2, 1, 1]]).clamp(min=tiny)
    loss = network.memory("visual").association_loss(recall_targets(examples), shown.states)
    torch.testing.assert_close(loss, -mass.log().mean())


def test_a_memory_is_dropped_for_whole_studies_in_training_only(llm_folder: Path) -> None:
    network = build(llm_folder, memory_dropout=0.5).eval()
    always = torch.stack([tokens[-28:] for tokens in network.prompt(batch()).tokens])
    assert always.abs().amax(dim=2).min() > 0
    network.train()
    network.requires_grad_(False)
    dropped = []
    for _ in range(40):
        tokens = torch.stack([each[-28:] for each in network.prompt(batch()).tokens])  # 14 regions, then 14 reports
        silent = tokens.view(3, 2, 14, -1).abs().amax(dim=3) == 0
        assert (silent.all(dim=2) | ~silent.any(dim=2)).all()  # a study's tokens of a memory are dropped together
        dropped.append(silent[..., 0])
    shares = torch.stack(dropped).float()
    assert 0.35 < float(shares.mean()) < 0.65
    assert 0.1 < float(shares.prod(dim=2).mean()) < 0.4  # each memory by itself
    with pytest.raises(SettingsError, match=r"memory_dropout must lie in \[0, 1\), not 1"):
        build(llm_folder, memory_dropout=1.0)
