"""Replay of earlier studies' state patterns in the association losses."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ammrg.networks.recall_targets import RecallTargets, recall_targets
from ammrg.networks.report_network import ReportNetwork
from ammrg.types import StudyBatch
from lightning_modules import state_replay
from lightning_modules.recall_losses import RecallLosses
from lightning_modules.report_generation import ReportGeneration
from lightning_modules.state_replay import KeptStates, StateReplay
from tests.tiny_stage2 import batch, build

WEIGHTS = {"association_loss": 0.5, "report_association_loss": 2.0, "own_region_loss": 0.0, "own_report_loss": 1.5}


def studies(first: int, count: int) -> KeptStates:
    """Studies number first, first + 1, ..., each with its number in every tensor."""
    numbers = torch.arange(first, first + count, dtype=torch.float32)
    ids = [str(int(number)) for number in numbers]
    shapes = {"positive": (14,), "places": (14, 5), "sides": (39,)}
    known = {name: numbers.view(-1, *[1] * len(shape)).expand(-1, *shape) for name, shape in shapes.items()}
    queries = numbers.view(-1, 1, 1).expand(-1, 14, 4)
    return KeptStates(queries, queries[..., 0], None, RecallTargets(ids, ids, **known))


def numbers(drawn: KeptStates | None) -> list[int]:
    assert drawn is not None
    found = [int(number) for number in drawn.targets.study_ids]
    for tensor in (drawn.queries, drawn.logits, *drawn.targets[2:]):
        assert tensor.flatten(1)[:, 0].tolist() == found, "all parts of a study stay together"
    return found


def test_nothing_is_drawn_before_something_is_kept() -> None:
    assert StateReplay(4).draw(0, 0) is None


def test_a_draw_depends_on_step_and_process_and_has_no_study_twice() -> None:
    replay = StateReplay(10)
    replay.keep(studies(0, 30))
    draws = {(step, process): numbers(replay.draw(step, process)) for step in range(4) for process in range(2)}
    assert draws[2, 1] == numbers(replay.draw(2, 1))
    assert len({tuple(drawn) for drawn in draws.values()}) == 8
    assert all(len(set(drawn)) == 10 for drawn in draws.values())


def test_the_oldest_studies_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_replay, "KEPT", 7)
    replay = StateReplay(100)
    for start in range(0, 12, 3):
        replay.keep(studies(start, 3))
    assert sorted(numbers(replay.draw(0, 0))) == list(range(5, 12))


def test_the_kept_studies_travel_in_a_checkpoint_without_their_texts() -> None:
    replay, again = StateReplay(5), StateReplay(5)
    replay.keep(studies(0, 9))
    file = io.BytesIO()
    torch.save(replay.state_dict(), file)
    file.seek(0)
    again.load_state_dict(torch.load(file, weights_only=True), torch.device("cpu"))
    assert numbers(again.draw(3, 0)) == numbers(replay.draw(3, 0))
    empty = StateReplay(5)
    empty.load_state_dict(StateReplay(5).state_dict(), torch.device("cpu"))
    assert empty.draw(0, 0) is None


def labelled(first: int, second: int) -> StudyBatch:
    """Three studies, of which the first two have a finding each."""
    labels = torch.zeros(3, 14)
    labels[0, first] = labels[1, second] = 1.0
    return batch()._replace(labels=labels)


def weighted(network: ReportNetwork, given: StudyBatch) -> float:
    """The association losses of a batch, weighted."""
    states, targets = network.prompt(given).states, recall_targets(given)
    asked = ((0.5, "visual", False), (2.0, "report", False), (1.5, "report", True))
    return sum(
        weight * float(network.memory(memory).association_loss(targets, states, own).detach())
        for weight, memory, own in asked
    )


def stage2(network: ReportNetwork, earlier: StudyBatch | None, batches: int = 1) -> ReportGeneration:
    module = ReportGeneration("s1", "regions", "reports", "llm", replayed_studies=2, **WEIGHTS)
    module.generator, module.log = network, lambda *_, **__: None  # type: ignore[method-assign]
    if earlier is not None:
        assert module.recall.replay is not None
        module.recall.replay.keep(KeptStates.of(network.prompt(earlier), recall_targets(earlier)))
    module._trainer = SimpleNamespace(  # type: ignore[assignment]
        accumulate_grad_batches=batches, world_size=1, global_step=0, global_rank=0, datamodule=None
    )
    return module


def test_the_losses_are_a_mean_over_new_and_earlier_studies(llm_folder: Path) -> None:
    network = build(llm_folder).eval()
    given, earlier = labelled(2, 3), labelled(5, 7).take([0, 1])
    alone = float(stage2(network, None).training_step(given, 0).detach())
    report = alone - weighted(network, given)
    found = float(stage2(network, earlier).training_step(given, 0).detach())
    assert weighted(network, earlier) != pytest.approx(weighted(network, given), rel=0.01)
    assert found == pytest.approx(report + 3 / 5 * weighted(network, given) + 2 / 5 * weighted(network, earlier))


def test_a_step_of_two_batches_has_the_same_mean(llm_folder: Path) -> None:
    network = build(llm_folder).eval()
    given, earlier = labelled(2, 3), labelled(5, 7).take([0, 1])
    parts = [given.take([0, 1]), given.take([2])]
    whole = float(stage2(network, earlier).training_step(given, 0).detach())
    module = stage2(network, earlier, batches=2)
    step = [part.without_films() for part in parts]
    losses = [
        float(module.training_step(part._replace(step=step), number).detach()) for number, part in enumerate(parts)
    ]
    assert sum(losses) / 2 == pytest.approx(whole, rel=1e-5)


def test_without_association_losses_nothing_is_kept() -> None:
    assert RecallLosses(dict.fromkeys(WEIGHTS, 0.0), 48).replay is None
