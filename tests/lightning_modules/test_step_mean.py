"""One batch, several batches and two processes give the same gradient: that of the mean over the step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
import torch.distributed as distributed
import torch.multiprocessing as multiprocessing
from lightning import LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from ammrg.errors import SettingsError
from ammrg.types import StudyBatch
from lightning_modules.disease_classification import DiseaseClassification
from lightning_modules.report_generation import ReportGeneration
from tests.quiet_trainer import quiet_trainer
from tests.tiny_stage2 import batch, build, with_partners

Made = Callable[[], tuple[LightningModule, StudyBatch]]
LLM = ""
SPLITS = ([[0], [1], [2]], [[0, 1], [2]], [[0], [1, 2]])
# Layer norms and no dropout, since batch statistics and random draws depend on the batch.
SWIN = {
    "model_type": "swin",
    "num_channels": 1,
    "image_size": 48,
    "patch_size": 4,
    "embed_dim": 8,
    "depths": [1, 1],
    "num_heads": [1, 1],
    "window_size": 3,
    "drop_path_rate": 0.0,
}


def unequal() -> StudyBatch:
    """Studies with reports of 3 to 60 tokens and one to three positive findings; for stage 1 one is unlabelled."""
    labels = torch.zeros(3, 14)
    labels[0, 2] = labels[1, 1] = labels[1, 3] = labels[1, 4] = labels[2, 5] = 1.0
    labels[2, 6:12] = -1.0
    reports = [
        "No effusion.",
        "The heart is large. There is a large right effusion. The lungs are clear. No effusion on the left.",
        "The lungs are clear. The heart is large.",
    ]
    return batch()._replace(labels=labels, reports=reports)


def stage2(folder: str = "") -> tuple[LightningModule, StudyBatch]:
    network = build(Path(folder or LLM), lora={"rank": 2, "dropout": 0.0})
    settings = {"abnormal_weight": 3.0, "shuffle_loss": 0.7, "shuffle_margin": 5.0, "association_loss": 0.5}
    module = ReportGeneration("stage1.ckpt", "regions", "reports", "llm", warmup_steps=0, **settings)
    module.generator = network
    module.on_fit_start = lambda: None  # type: ignore[method-assign]
    return module, with_partners(unequal())


def stage1() -> tuple[LightningModule, StudyBatch]:
    torch.manual_seed(0)
    qformer = {"width": 16, "layers": 1, "heads": 2, "dropout": 0.0}
    extra = {"warmup_steps": 0, "token_loss": 0.5, "report_terms": 2.0, "pos_weight": [1.0 + i for i in range(14)]}
    module = DiseaseClassification({"config": SWIN}, qformer, **cast(Any, extra))
    given = unequal()
    given.labels[0] = math.nan
    return module, given


def in_step(whole: StudyBatch, split: Sequence[Sequence[int]]) -> list[StudyBatch]:
    """The batches of a step, as the loader yields them."""
    parts = [whole.take(rows) for rows in split]
    return [part._replace(step=[each.without_films() for each in parts]) for part in parts]


def gradient(module: LightningModule) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def trained_on(module: LightningModule, batches: list[StudyBatch], gathered: int) -> tuple[dict[str, Tensor], Any]:
    """The gradient that the real Trainer gives to the optimizer, and the logged values."""
    found: dict[str, Tensor] = {}
    module.on_before_optimizer_step = lambda _: found.update(gradient(module))  # type: ignore[method-assign]
    trainer = quiet_trainer(max_steps=1, accumulate_grad_batches=gathered, limit_val_batches=0)
    trainer.fit(module, DataLoader(batches, batch_size=None))  # type: ignore[arg-type]
    return found, {name: float(value) for name, value in trainer.logged_metrics.items() if name.endswith("loss")}


def assert_alike(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    one, other = (torch.cat([grads[name].flatten() for name in expected]).double() for grads in (found, expected))
    assert float(torch.cosine_similarity(one, other, dim=0)) > 0.99999
    assert float(one.norm() / other.norm()) == pytest.approx(1, abs=1e-4)


def by_hand(module: LightningModule, whole: StudyBatch) -> dict[str, Tensor]:
    """The gradient of one batch's loss."""
    module.log = lambda *_, **__: None  # type: ignore[method-assign, assignment]
    module.training_step(whole, 0).backward()
    return gradient(module)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("made", [stage1, stage2])
def test_batches_in_a_row_are_as_one(llm_folder: Path, made: Any, split: list[list[int]]) -> None:
    global LLM
    LLM = str(llm_folder)
    module, whole = made()
    expected, logged = trained_on(module, [whole], 1)
    assert len(expected) > 10
    module, whole = made()
    found, told = trained_on(module, in_step(whole, split), len(split))
    assert_alike(found, expected)
    assert told.keys() == logged.keys() >= {"train/loss"}
    assert told == pytest.approx(logged, rel=1e-5)
    assert all(logged.values())


def test_the_loss_is_the_mean_over_tokens_and_not_of_means(llm_folder: Path) -> None:
    module, whole = stage2(str(llm_folder))
    generator = cast(ReportGeneration, module).network
    losses = generator.target_losses(whole)
    sums = torch.zeros(3).index_add(0, losses.report_of_token, losses.values.detach())
    _, logged = trained_on(module, in_step(whole, SPLITS[0]), 3)
    assert logged["train/loss"] == pytest.approx(float(losses.values.detach().mean()), rel=1e-5)
    means = sums / torch.bincount(losses.report_of_token)
    assert float(means.mean()) != pytest.approx(
        float(losses.values.detach().mean()), rel=1e-3
    )  # losses differ between studies


def test_what_a_step_counts_beforehand_is_what_there_is(llm_folder: Path) -> None:
    module, whole = stage2(str(llm_folder))
    stage = cast(ReportGeneration, module)
    losses = stage.network.target_losses(whole)
    counts = stage.terms(whole.without_films())
    assert counts["train/loss"] == len(losses.values)
    assert counts["weight"] == float((1 + 2 * losses.emphasised.float()).sum())
    assert counts["train/shuffle_loss"] == 3
    # five positives; 3 of study 1 and 5 of study 2 have only regions of the study itself
    assert counts["train/association_loss"] == 3
    cut = stage.network.language_model.reports_cut
    stage.terms(whole)
    assert stage.network.language_model.reports_cut == cut


def test_a_last_step_of_fewer_batches_is_a_whole_one(llm_folder: Path) -> None:
    """The last step of an epoch: the Trainer divides by the full number of batches."""
    module, whole = stage2(str(llm_folder))
    expected = by_hand(module, whole)
    module, whole = stage2(str(llm_folder))
    assert_alike(trained_on(module, in_step(whole, SPLITS[1]), 5)[0], expected)


def test_a_step_without_a_term_learns_nothing_from_it(llm_folder: Path) -> None:
    module, whole = stage2(str(llm_folder))
    whole = whole._replace(labels=torch.zeros(3, 14))  # nothing to associate
    for part in in_step(whole, SPLITS[0]):
        cast(Any, module).log = lambda *_, **__: None
        module._trainer = cast(Trainer, SimpleNamespace(accumulate_grad_batches=3, world_size=1, datamodule=None))
        assert module.training_step(part, 0).isfinite()


def test_batches_that_do_not_know_of_each_other_are_refused(llm_folder: Path) -> None:
    module, whole = stage2(str(llm_folder))
    with pytest.raises(SettingsError, match=r"accumulate_grad_batches \(3\): .*data\.micro_batch_size"):
        trained_on(module, [whole.take([row]) for row in range(3)], 3)
    with pytest.raises(SettingsError, match=r"makes steps of 3 batches"):
        trained_on(module, in_step(whole, SPLITS[0]), 2)


def _rank(rank: int, store: str, out: str, llm: str) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    found = {}
    for name, made in (("stage1", stage1), ("stage2", lambda: stage2(llm))):
        # Two batches each: process 0 first has the study with the fewest terms alone.
        whole = (module := made())[1]
        split = [[[0], [1, 2]], [[2], [0, 1]]][rank]
        doubled = in_step(whole, split)
        stage = module[0]
        told: dict[str, float] = {}
        stage.log = lambda key, value, told=told, **_: told.update({key: float(value)})  # type: ignore[method-assign, assignment]
        stage._trainer = cast(Trainer, SimpleNamespace(accumulate_grad_batches=2, world_size=2, datamodule=None))
        for index, part in enumerate(doubled):
            (stage.training_step(part, index) / 2).backward()  # as the Trainer does
        grads = gradient(stage)
        for grad in grads.values():
            distributed.all_reduce(grad)
            grad /= 2  # as DDP does
        found[name] = (grads, told)
    torch.save(found, f"{out}{rank}")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_are_as_one(llm_folder: Path, tmp_path: Path) -> None:
    """Both see every study once, in different batches; their mean is that of one process over all."""
    arguments = (str(tmp_path / "store"), str(tmp_path / "out"), str(llm_folder))
    multiprocessing.spawn(_rank, args=arguments, nprocs=2)
    ranks = [torch.load(tmp_path / f"out{rank}", weights_only=True) for rank in (0, 1)]
    for name, made in (("stage1", stage1), ("stage2", lambda: stage2(str(llm_folder)))):
        module, whole = made()
        expected, logged = trained_on(module, [whole], 1)
        assert_alike(ranks[0][name][0], expected)
        for key, value in logged.items():
            assert sum(told[key] for _, told in (rank[name] for rank in ranks)) / 2 == pytest.approx(value, rel=1e-5)
