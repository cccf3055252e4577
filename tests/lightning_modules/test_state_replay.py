"""Replay of earlier studies' state patterns in the association losses."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ammrg.networks.recall_targets import RecallTargets, recall_targets
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


def test_a_step_adds_the_weighted_losses_of_earlier_studies(llm_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = build(llm_folder).eval()
    labels = torch.zeros(3, 14)
    labels[0, 2] = labels[1, 3] = 1.0
    given = batch()._replace(labels=labels)
    made = {}
    for replayed in (0, 5):
        module = ReportGeneration("s1", "regions", "reports", "llm", replayed_studies=replayed, **WEIGHTS)
        module.generator, module.log = network, lambda *_, **__: None  # type: ignore[method-assign]
        made[replayed] = [float(module.training_step(given, step).detach()) for step in range(2)]
    states, targets = network.prompt(given).states, recall_targets(given)
    further = sum(
        weight * float(network.memory(memory).association_loss(targets, states, own).detach())
        for weight, memory, own in ((0.5, "visual", False), (2.0, "report", False), (1.5, "report", True))
    )
    assert further > 0
    assert made[5][0] == pytest.approx(made[0][0])
    assert made[5][1] == pytest.approx(made[0][1] + further, rel=1e-5)


def test_earlier_studies_join_a_step_of_two_batches_once(llm_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = build(llm_folder).eval()
    module = ReportGeneration("s1", "regions", "reports", "llm", replayed_studies=5, **WEIGHTS)
    module.generator, module.log = network, lambda *_, **__: None  # type: ignore[method-assign]
    shown, targets = network.prompt(batch()), recall_targets(batch())
    assert module.recall.replay is not None
    module.recall.replay.keep(KeptStates.of(shown, targets))
    alone = module.recall.replayed(network, 0, 0)
    assert alone is not None
    asked: list[int] = []

    def replayed(recall: RecallLosses, *_: object) -> torch.Tensor:
        asked.append(1)
        return torch.tensor(100.0)

    monkeypatch.setattr(RecallLosses, "replayed", replayed)
    module._trainer = SimpleNamespace(  # type: ignore[assignment]
        accumulate_grad_batches=2, world_size=1, global_step=0, global_rank=0, datamodule=None
    )
    halves = [batch().take([0, 1]), batch().take([2])]
    step = [half._replace(step=halves) for half in halves]
    losses = [float(module.training_step(each, number)) for number, each in enumerate(step)]
    assert len(asked) == 1
    assert losses[0] > 200 > losses[1]


def test_without_association_losses_nothing_is_kept() -> None:
    assert RecallLosses(dict.fromkeys(WEIGHTS, 0.0), 48).replay is None
