"""Training of stage 2: inactive parts, weights of sentences, further losses, and the cache of films."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from ammrg.errors import SettingsError
from ammrg.networks.cross_fit import CrossFit
from ammrg.networks.disease_classifier import DiseaseClassifier
from ammrg.networks.recall_targets import recall_targets
from ammrg.networks.report_network import ReportNetwork
from ammrg.networks.token_budget import token_budget
from ammrg.networks.trained_parts import PARTS
from ammrg.networks.visual_prompt import SeenFilms
from ammrg.text.abnormal_spans import abnormal_spans
from ammrg.types import StudyBatch
from callbacks.averaged_weights import AveragedWeights
from callbacks.gradient_watch import GradientWatch
from lightning_modules.report_generation import ReportGeneration
from tests.quiet_trainer import quiet_trainer
from tests.tiny_encoder import ENCODER
from tests.tiny_stage2 import QFORMER, batch, build, with_partners

Parts = dict[str, list[torch.Tensor]]


def module(network: ReportNetwork | None = None, **settings: Any) -> ReportGeneration:
    """A module around a given network, which reads no files of a run."""
    stage2 = ReportGeneration("stage1.ckpt", "regions", "reports", "llm", warmup_steps=0, **settings)
    stage2.generator = network
    stage2.log = lambda name, value, **_: logged.update({name: float(value)})  # type: ignore[method-assign]
    logged.clear()
    return stage2


logged: dict[str, float] = {}


def abnormal() -> StudyBatch:
    """Two equal reports (the first and the last), and one that affirms a finding."""
    return batch()._replace(reports=["No effusion.", "The heart is large. Large right effusion.", "No effusion."])


def parts(network: ReportNetwork) -> Parts:
    return {
        part: [parameter.detach().clone() for parameter in parameters]
        for part, parameters in network.parts.parameters().items()
    }


def changed(before: Parts, after: Parts) -> set[str]:
    return {
        part
        for part in PARTS
        if any(not torch.equal(one, other) for one, other in zip(before[part], after[part], strict=True))
    }


def train(stage2: ReportGeneration, steps: int, each: Callable[[int], None], *callbacks: Callback) -> None:
    """Train on one batch with the real Trainer; ``each`` is called after every step."""

    def end(outputs: Any, batch: Any, index: int) -> None:
        each(stage2.global_step)

    stage2.on_train_batch_end = end  # type: ignore[method-assign]
    stage2.on_fit_start = lambda: None  # type: ignore[method-assign]
    torch.manual_seed(0)
    trainer = quiet_trainer(max_steps=steps, callbacks=list(callbacks), gradient_clip_val=1.0)
    trainer.fit(stage2, DataLoader([abnormal()] * steps, batch_size=None))  # type: ignore[arg-type]


def test_parts_hold_every_parameter_that_can_be_trained_once(llm_folder: Path) -> None:
    network = build(llm_folder, lora={"rank": 2}, finding_tokens=True, freeze=())
    found = [id(parameter) for parameters in network.parts.parameters().values() for parameter in parameters]
    assert len(found) == len(set(found))
    assert set(found) == {id(parameter) for parameter in network.parameters() if parameter.requires_grad}
    assert all(network.parts.parameters().values())


@pytest.mark.parametrize("frozen", [["encoder", "qformer"], ["lora", "memories"], []])
def test_frozen_parts_stay_and_the_rest_moves(llm_folder: Path, frozen: list[str]) -> None:
    network = build(llm_folder, lora={"rank": 2}, freeze=frozen)
    before = parts(network)
    train(module(network, freeze=frozen, lr=1e-2), 3, lambda step: None)
    assert changed(before, parts(network)) == set(PARTS) - set(frozen)


def test_a_part_is_trained_from_its_step_on(llm_folder: Path) -> None:
    network = build(llm_folder, lora={"rank": 2}, freeze=())
    stage2 = module(network, freeze=["lora", "encoder", "qformer"], unfreeze_at={"lora": 2, "encoder": 4, "qformer": 0})
    seen, moved = [parts(network)], []
    buffers = [network.classifier.encoder.state_dict()["backbone.embedder.embedder.normalization.running_mean"].clone()]

    def look(step: int) -> None:
        seen.append(parts(network))
        moved.append(changed(seen[-2], seen[-1]))
        buffers.append(
            network.classifier.encoder.state_dict()["backbone.embedder.embedder.normalization.running_mean"].clone()
        )
        assert network.classifier.encoder.training is (step > 4)

    train(stage2, 6, look)
    always = {"projections", "memories", "qformer"}
    assert moved == [always] * 2 + [always | {"lora"}] * 2 + [set(PARTS)] * 2
    still = [torch.equal(one, other) for one, other in itertools.pairwise(buffers)]
    assert still == [True] * 4 + [False] * 2  # statistics of an inactive encoder do not drift


def test_a_part_begins_in_the_middle_of_a_run_that_ends_before_its_step(llm_folder: Path) -> None:
    network = build(llm_folder, lora={"rank": 2}, freeze=["encoder", "qformer"])
    stage2, seen, moved = module(network, freeze=["lora"], unfreeze_at={"lora": 50}), [parts(network)], []

    def look(step: int) -> None:
        seen.append(parts(network))
        moved.append("lora" in changed(seen[-2], seen[-1]))

    train(stage2, 4, look)
    assert moved == [False, False, True, True]


def test_an_inactive_part_takes_no_share_of_the_clipped_gradient(llm_folder: Path) -> None:
    """An inactive part is as if frozen: earlier steps and logged norms equal those of a run without it."""
    weights, norms = [], []
    for settings in ({"freeze": ["encoder", "qformer", "lora"]}, {"freeze": ["lora", "encoder", "qformer"]}):
        later = {"unfreeze_at": {"lora": 2}} if weights else {}
        network = build(llm_folder, lora={"rank": 2}, freeze=["encoder", "qformer", *(() if later else ("lora",))])
        found: list[Parts] = []
        logs: list[float] = []

        def look(step: int, found: list[Parts] = found, network: Any = network, logs: list[float] = logs) -> None:
            found.append(parts(network))
            logs.append(logged["train/grad_norm"])

        train(module(network, lr=1e-2, **settings, **later), 3, look, GradientWatch())
        weights.append(found)
        norms.append(logs)
    assert changed(weights[0][1], weights[1][1]) == set()
    assert "lora" in changed(weights[0][2], weights[1][2])
    assert norms[0][:2] == norms[1][:2]
    assert norms[0][2] < norms[1][2]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"freeze": ["head"]}, r"model\.freeze: found 'head'"),
        ({"unfreeze_at": {"heads": 3}}, r"^model\.unfreeze_at\.heads: no such setting; there are encoder, "),
        ({"unfreeze_at": {"lora": 3}}, r"model\.unfreeze_at: lora is trained from the start"),
        ({"shuffle_loss": -1.0}, r"model\.shuffle_loss \(-1\.0\)"),
        ({"abnormal_weight": -1.0}, r"model\.abnormal_weight \(-1\.0\)"),
        ({"freeze": ["lora"], "unfreeze_at": {"lora": -1}}, r"model\.unfreeze_at\.lora \(-1\)"),
        ({"lr": 0.0}, r"model\.lr \(0\.0\) must be above 0"),
        ({"lora_lr": -1.0}, r"model\.lora_lr \(-1\.0\) must not be negative"),
        ({"max_report_tokens": 0}, r"model\.max_report_tokens \(0\)"),
        ({"generate_studies": 0}, r"model\.generate_studies \(0\)"),
        ({"cache_films": -8}, r"model\.cache_films \(-8\)"),
        ({"final_lr_fraction": 1.5}, r"model\.final_lr_fraction \(1\.5\)"),
        ({"decoding": {"num_beam": 3}}, r"^model\.decoding\.num_beam: no such setting; there are .*num_beams"),
        ({"network": {"pool": 3}}, r"model\.network\.pool: no such setting; there are .*pool_image_tokens"),
        ({"network": {"freeze": []}}, r"model\.network\.freeze: no such setting"),
        ({"network": {"hopfield": {"head": 3}}}, r"model\.network\.hopfield\.head: no such setting; .*heads"),
        ({"network": {"pool_image_tokens": 0}}, r"pool_image_tokens \(0\) must be at least 1"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        ReportGeneration("stage1.ckpt", "regions", "reports", "llm", **settings)


def test_each_part_has_its_rate(llm_folder: Path) -> None:
    network = build(llm_folder, lora={"rank": 2}, freeze=())
    rates = {"lr": 1e-3, "lora_lr": 5e-4, "memory_lr": 2e-3, "encoder_lr": 1e-5}
    stage2 = module(network, freeze=[], **rates)
    stage2._trainer = cast(Trainer, SimpleNamespace(estimated_stepping_batches=100))
    groups = cast(Any, stage2.configure_optimizers())["optimizer"].param_groups
    found = {id(parameter): group["initial_lr"] for group in groups for parameter in group["params"]}
    expected = {"encoder": 1e-5, "qformer": 1e-3, "memories": 2e-3, "lora": 5e-4, "projections": 1e-3}
    for part, parameters in network.parts.parameters().items():
        assert all(found[id(parameter)] == pytest.approx(expected[part]) for parameter in parameters)


def test_words_of_place_weigh_more_still(llm_folder: Path) -> None:
    network = build(llm_folder).eval()
    losses = network.target_losses(abnormal())
    ids = network.language_model.fitting_report(abnormal().reports[1], 30)[1]
    placed = losses.placed[losses.report_of_token == 1].tolist()
    assert (
        network.language_model.tokenizer.decode([i for i, mark in zip(ids, placed, strict=True) if mark]).strip()
        == "right"
    )
    assert losses.placed.sum() == sum(placed)  # nowhere else
    weights = torch.where(losses.placed, 12.0, torch.where(losses.emphasised, 3.0, 1.0))
    expected = float(((losses.values * weights).sum() / weights.sum()).detach())
    stage = module(network, abnormal_weight=3.0, place_weight=12.0)
    assert float(stage.training_step(abnormal(), 0).detach()) == pytest.approx(expected)


def test_sentences_that_affirm_something_weigh_more(llm_folder: Path) -> None:
    network = build(llm_folder).eval()
    losses = network.target_losses(abnormal())
    language_model = network.language_model
    for row, said in enumerate(["", "The heart is large.Large right effusion.", ""]):
        ids = language_model.fitting_report(abnormal().reports[row], 30)[1]
        marked = losses.emphasised[losses.report_of_token == row].tolist()
        kept = [token for token, mark in zip(ids, marked, strict=True) if mark]
        assert language_model.tokenizer.decode(kept).replace(". L", ".L") == said
        assert not marked[-1]  # the end
    assert [len(abnormal_spans(text)) for text in abnormal().reports] == [0, 2, 0]
    for weight in (1.0, 3.0):
        weights = torch.where(losses.emphasised, weight, 1.0)
        expected = float((losses.values * weights).sum() / weights.sum())
        assert float(module(network, abnormal_weight=weight).training_step(abnormal(), 0).detach()) == pytest.approx(
            expected
        )
        assert logged["train/loss"] == pytest.approx(float(losses.values.mean()))


def test_the_shuffle_loss_asks_for_a_margin_where_reports_differ(llm_folder: Path) -> None:
    network = build(llm_folder).eval()
    given = with_partners(abnormal())
    own, others = network.target_losses(given), network.target_losses(given.exchanged())

    def mean(losses: Any, row: int) -> float:
        return float(losses.values[losses.report_of_token == row].mean())

    # Study 0's partner has the same report; those of 1 and 2 have others.
    stage2 = module(network, shuffle_loss=0.5, shuffle_margin=10.0)
    loss = float(stage2.training_step(given, 0))
    gaps = 10.0 - logged["train/shuffle_loss"]
    assert loss == pytest.approx(logged["train/loss"] + 0.5 * logged["train/shuffle_loss"], rel=1e-5)
    expected = sum(mean(others, row) - mean(own, row) for row in (1, 2)) / 2
    assert gaps == pytest.approx(expected, rel=1e-4)
    alike = with_partners(given._replace(reports=["No effusion."] * 3))
    module(network, shuffle_loss=0.5).training_step(alike, 0)
    assert logged["train/shuffle_loss"] == 0.0


def test_a_partners_films_bring_back_neither_studys_patterns(llm_folder: Path) -> None:
    """Otherwise a study could recall its partner's report, or even the report it should write."""
    network = build(llm_folder).eval()
    given = with_partners(abnormal())
    assert given.partner is not None
    given = given._replace(
        partner=given.partner._replace(study_ids=["s1", "s2", "s0"], subject_ids=["ps1", "ps2", "ps0"])
    )
    masks: list[Tensor] = []
    for retrieval in network.retrievals.values():
        retrieval.register_forward_pre_hook(lambda _, inputs: masks.append(inputs[2]))
    module(network, shuffle_loss=0.5).training_step(given, 0)
    allowed = [mask.view(3, -1)[:, :6].view(3, 3, 2).all(dim=-1) for mask in masks]
    own, both = ~torch.eye(3, dtype=torch.bool), torch.eye(3, dtype=torch.bool).roll(1, 0)
    for found, expected in zip(allowed, [own, own, both, both], strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("named", ["predicted", "labels"])
def test_training_names_what_it_is_asked_to_name(llm_folder: Path, named: str) -> None:
    network = build(llm_folder, instruction="{findings} Go.").eval()
    network.naming_thresholds.fill_(1.0)
    network.naming_thresholds[4] = 0.0
    labels = torch.zeros(3, 14)
    labels[1, 9], labels[1, 4], labels[2, 2] = 1.0, -1.0, 1.0
    shown: list[list[str]] = []
    given = network.language_model.target_losses
    network.language_model.target_losses = lambda *args: shown.append(args[2]) or given(*args)  # type: ignore[method-assign, func-returns-value]
    stage2 = module(network, instruction="{findings} Go.", named_findings=named)
    stage2.training_step(batch()._replace(labels=labels), 0)
    predicted = ["Findings: edema. Go."] * 3
    told = ["Findings: none. Go.", "Findings: pleural effusion. Go.", "Findings: lung opacity. Go."]
    assert shown == [predicted if named == "predicted" else told]
    assert network.prompt(batch()._replace(labels=labels)).instructions == predicted
    with pytest.raises(SettingsError, match=r"named_findings: labels needs \{findings\}"):
        module(network, named_findings="labels")


@pytest.mark.parametrize("knows", [False, True])
def test_labels_are_named_with_places_only_if_stage_1_knows_places(llm_folder: Path, knows: bool) -> None:
    classifier = DiseaseClassifier(ENCODER, QFORMER, places="queries" if knows else None)
    network = build(llm_folder, classifier=classifier, instruction="{placed_findings} Go.")
    named, placed = module(network, instruction="{placed_findings} Go.", named_findings="labels").named_in_training(
        batch()
    )
    assert named is not None
    assert (placed is not None) == knows


def test_a_finding_is_named_in_as_many_validation_studies_as_have_it(llm_folder: Path) -> None:
    network = build(llm_folder, instruction="{findings} Go.")
    stage2 = module(network, naming_thresholds="prevalence")
    labels = torch.full((3, 14), torch.nan)
    labels[:, 2], labels[:2, 9], labels[0, 4] = 1.0, 1.0, -1.0
    data = SimpleNamespace(val_dataloader=lambda: [batch()], training_labels=lambda: labels.numpy())
    stage2._trainer = SimpleNamespace(datamodule=data, is_global_zero=True, progress_bar_callback=None)  # type: ignore[assignment]
    stage2.name_by_prevalence()
    assert network.training
    named = network.eval().names(network.prompt(batch()).logits)
    assert named[:, 2].all()
    assert int(named[:, 9].sum()) == 2
    assert int(named.sum()) == 3 + 2  # never a finding that no training study has


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_a_training_step_adds_the_association_loss_by_its_weight(llm_folder: Path, weight: float) -> None:
    network = build(llm_folder).eval()
    labels = torch.zeros(3, 14)
    labels[0, 2] = 1.0
    given = batch()._replace(labels=labels)
    loss = float(module(network, association_loss=weight).training_step(given, 0))
    expected = float(network.memory("visual").association_loss(recall_targets(given), network.prompt(given).states))
    assert loss == pytest.approx(logged["train/loss"] + weight * expected, rel=1e-5)
    assert ("train/association_loss" in logged) is (weight > 0)


def test_cached_films_give_the_same_steps(llm_folder: Path) -> None:
    weights = []
    for mebibytes in (0, 8):
        network = build(llm_folder, lora={"rank": 2})
        looked_at: list[int] = []
        network.classifier.encoder.register_forward_hook(lambda *_, seen=looked_at: seen.append(1))
        train(module(network, lr=1e-2, cache_films=mebibytes), 3, lambda step: None)
        assert len(looked_at) == (1 if mebibytes else 3)
        weights.append(parts(network))
    for part in PARTS:
        for one, other in zip(weights[0][part], weights[1][part], strict=True):
            torch.testing.assert_close(one, other)


def test_weights_can_be_averaged_over_a_quantised_model(llm_folder: Path) -> None:
    network = build(llm_folder, lora={"rank": 2})
    seen = [parts(network)]
    before = network.language_model.loss([torch.zeros(1, 64)], ["No effusion."], "Go.").item()
    train(module(network, lr=1e-2), 3, lambda step: seen.append(parts(network)), AveragedWeights(decay=0.5))
    expected = seen[0]["projections"][0]
    for step, weights in enumerate(seen[1:], start=1):
        decay = min(0.5, step / (9 + step)) if step > 1 else 0.0  # the first average equals the first step's weights
        expected = torch.lerp(weights["projections"][0], expected, decay)
    torch.testing.assert_close(parts(network)["projections"][0], expected)
    for parameter in network.parts.parameters()["lora"]:
        parameter.data.zero_()
    assert network.language_model.loss([torch.zeros(1, 64)], ["No effusion."], "Go.").item() == before


def test_a_cache_refuses_films_that_vary(llm_folder: Path) -> None:
    for augment, frozen in ((True, ["encoder", "qformer"]), (False, ["encoder"])):
        stage2 = module(build(llm_folder, freeze=frozen), freeze=frozen, cache_films=8)
        stage2._trainer = cast(Trainer, SimpleNamespace(datamodule=SimpleNamespace(augment=augment)))
        with pytest.raises(SettingsError, match=r"model\.cache_films .* data\.augment: false"):
            stage2.on_fit_start()


def test_cross_fitting_needs_a_stage_1_that_stays_as_it_is(llm_folder: Path) -> None:
    for settings in ({"freeze": ["encoder"]}, {"freeze": ["encoder", "qformer"], "unfreeze_at": {"qformer": 5}}):
        with pytest.raises(SettingsError, match=r"model\.cross_fit .* model\.freeze"):
            module(build(llm_folder), cross_fit="folder", **settings)


def test_training_films_are_read_out_of_fold(llm_folder: Path) -> None:
    """Only the folds' networks read training films; with a cache they read each film once."""
    asked: list[list[str]] = []

    class Folds(torch.nn.Module):
        def see(self, images: Tensor, subjects: list[str]) -> SeenFilms:
            asked.append(subjects)
            return generator.see(255 - images)

    for mebibytes, times in ((0, 3), (8, 1)):
        generator, studies = build(llm_folder), batch()
        stage2 = module(generator, cache_films=mebibytes, cross_fit="folder")
        stage2.cross_fit = cast(CrossFit, Folds())
        asked.clear()
        for _ in range(3):
            seen = stage2.see_training_films(studies)
            torch.testing.assert_close(seen.logits, generator.see(255 - studies.images).logits)
        owners = [studies.subject_ids[study] for study in studies.study_of_view.tolist()]
        assert asked == [owners] * times


def test_gradient_checkpointing_leaves_every_gradient_as_it_is(llm_folder: Path) -> None:
    found = []
    for checkpointing in (False, True):
        network = build(llm_folder, lora={"rank": 2}, gradient_checkpointing=checkpointing).train()
        recomputed: list[int] = []
        layer = network.language_model.model.model.layers[0]
        layer.input_layernorm.register_forward_hook(lambda *_, seen=recomputed: seen.append(1))
        network(batch()).backward()
        assert len(recomputed) == (2 if checkpointing else 1)
        found.append({name: p.grad for name, p in network.named_parameters() if p.grad is not None})
    assert set(found[0]) == set(found[1])
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name])


def test_the_budget_is_what_the_language_model_reads(llm_folder: Path) -> None:
    network = build(llm_folder, pool_image_tokens=3)
    budget = token_budget(network, 48)
    assert budget == {"image": 9, "query": 14, "visual": 14, "report": 14, "instruction": budget["instruction"]}
    before, after = network.language_model.prompt_parts(network.instruction)
    assert budget["instruction"] == len(before) + len(after)
    assert sum(budget.values()) - budget["instruction"] == len(network.prompt(batch()).tokens[0])
