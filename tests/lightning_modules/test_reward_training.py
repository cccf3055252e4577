"""Reward training: its loss worked out again, a real training that gains reward, resuming, and wrong settings."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch.utils.data import DataLoader

from ammrg.errors import CheckpointError, SettingsError
from ammrg.metrics.rewards import guard
from ammrg.networks.disease_classifier import DiseaseClassifier
from ammrg.networks.report_network import ReportNetwork
from ammrg.networks.stage2_settings import RewardSettings
from ammrg.types import StudyBatch
from callbacks.run_checkpoint import RunCheckpoint
from lightning_modules.report_generation import ReportGeneration
from lightning_modules.reward_training import RewardTraining, undisturbed
from tests.quiet_trainer import quiet_trainer
from tests.tiny_encoder import ENCODER
from tests.tiny_stage2 import QFORMER, REPORTS, batch, build

SETTINGS: dict[str, Any] = {"weights": {"clinical_f1": 1.0}, "samples": 4, "kl": 0.0}


def training(network: ReportNetwork, logged: dict[str, list[float]] | None = None, **settings: Any) -> ReportGeneration:
    """A module around a network that is taken for the finished supervised one; it reads no files of a run."""
    own = {"lr": 1e-2, "warmup_steps": 0, "freeze": ["encoder", "qformer", "memories"]}
    reward = {**SETTINGS, **settings.pop("reward", {})}
    stage2 = ReportGeneration(
        "stage1.ckpt", "regions", "reports", "llm", start_from="best.ckpt", reward=reward, **{**own, **settings}
    )
    stage2.generator = network
    assert stage2.reward is not None
    stage2.reward.keep(network)
    stage2.reward.prepare(REPORTS)
    found = {} if logged is None else logged
    stage2.log = lambda name, value, **_: found.setdefault(name, []).append(float(value))  # type: ignore[method-assign]
    stage2.on_fit_start = lambda: None  # type: ignore[method-assign]
    return stage2


class StopAfter(Callback):
    """Stops a training after some steps, as a kill would; the learning rates stay those of the whole one."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        trainer.should_stop = trainer.global_step >= self.steps


def fit(stage2: ReportGeneration, steps: int, *callbacks: Callback, **settings: Any) -> None:
    path = settings.pop("ckpt_path", None)
    trainer = quiet_trainer(max_steps=steps, callbacks=list(callbacks), **settings)
    trainer.fit(stage2, DataLoader([findings()] * steps, batch_size=None), ckpt_path=path)  # type: ignore[arg-type]


def findings() -> StudyBatch:
    return batch()._replace(reports=["The heart is large.", "No effusion.", "The heart is large. No effusion."])


def network_of(folder: Path, **settings: Any) -> ReportNetwork:
    return build(folder, lora={"rank": 2, "dropout": 0.5}, freeze=["encoder", "qformer", "memories"], **settings)


def test_the_loss_of_a_step_worked_out_again(llm_folder: Path) -> None:
    """With other weights than the supervised ones, so that the divergence counts; each token by itself."""
    logged: dict[str, list[float]] = {}
    network = network_of(llm_folder)
    stage2 = training(
        network, logged, abnormal_weight=3.0, place_weight=5.0, reward={"kl": 0.2, "weights": {"cider": 2.0}}
    )
    with torch.no_grad():
        for parameter in network.parts.parameters()["projections"]:
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.3)
    reward = stage2.reward
    assert reward is not None
    found = float(stage2.training_step(findings(), 0).detach())
    with torch.no_grad(), undisturbed(network):
        shown = network.prompt(findings())
        drawn = reward.draw(network, shown, findings(), 0, 0)
        own = reward.losses(network, shown, drawn)
        with reward.supervised(network):
            first = reward.losses(network, network.prompt(findings()), drawn)
    assert not torch.allclose(own.values, first.values)
    assert own.report_of_token.tolist() == [row for row, ids in enumerate(drawn.ids) for _ in ids]
    weights = 1 + 2.0 * own.emphasised + 2.0 * own.placed
    total = divergence = 0.0
    for study, reference in enumerate(findings().reports):
        rows = range(4 * study, 4 * study + 4)
        values = torch.tensor([reward.rewards["cider"](drawn.texts[r], reference) for r in rows])
        values = values * torch.tensor([guard(drawn.texts[r], reference) for r in rows])
        spread = values.std(correction=0)
        advantages = (values - values.mean()) / spread if spread > 1e-6 else torch.zeros(4)
        for advantage, row in zip(advantages.tolist(), rows, strict=True):
            mine = own.report_of_token == row
            p, q, w = -own.values[mine], -first.values[mine], weights[mine]
            apart = ((q - p).exp() - (q - p) - 1).mean()
            total += float(-advantage * (p * w).sum() / w.sum() + 0.2 * apart)
            divergence += float(apart)
    assert found == pytest.approx(total / 12, rel=1e-4)
    assert logged["train/loss"] == [pytest.approx(total / 12, rel=1e-4)]
    assert logged["train/kl"] == [pytest.approx(divergence / 12, rel=1e-4)]
    assert logged["train/length"] == [sum(map(len, drawn.ids)) / 12]
    assert logged["train/distinct"] == [pytest.approx(len(set(drawn.texts)) / 12)]


def test_samples_are_read_as_they_were_drawn(llm_folder: Path) -> None:
    """Their log-probabilities are those of the whole reports where the tokens are the tokenizer's own."""
    network = network_of(llm_folder).eval()
    model, shown = network.language_model, network.prompt(findings())
    ids = [model.fitting_report(text, 30)[1] for text in findings().reports]
    marks = {"emphasis": lambda text: [(4, 9)] if "heart" in text else [], "places": lambda text: []}
    one = model.sample_losses(shown.tokens, ids, shown.instructions, temperature=1.0, **marks)
    other = model.target_losses(shown.tokens, findings().reports, shown.instructions, 30, **marks)
    for mine, theirs in zip(one, other, strict=True):
        assert torch.equal(mine, theirs)
    assert one.emphasised.any()
    # one letter a token: other tokens, the same words marked
    text = findings().reports[0]
    letters = [[token for letter in text for token in model.tokenizer(letter, add_special_tokens=False)["input_ids"]]]
    assert model.tokenizer.decode(letters[0]) == text
    spelt = model.sample_losses(shown.tokens[:1], letters, shown.instructions[:1], temperature=1.0, **marks)
    assert model.tokenizer.decode(torch.tensor(letters[0])[spelt.emphasised]) == text[4:9]


def test_each_reward_counts_1_unless_some_are_named() -> None:
    every = RewardTraining(RewardSettings())
    assert every.weights == {"cider": 1.0, "clinical_f1": 1.0, "side_f1": 1.0}
    some = RewardTraining(RewardSettings(weights={"side_f1": 2.0, "cider": 0.0}))
    assert some.weights == {"side_f1": 2.0}
    assert "reward_cider" not in some.names


def test_what_is_recalled_stays_as_it_was(llm_folder: Path) -> None:
    """The memories are frozen, and so is what they are asked: no reward teaches either."""
    classifier = DiseaseClassifier(ENCODER, QFORMER, places="queries")
    network = network_of(llm_folder, classifier=classifier, state_places=True, hub_correction=1.0)
    assert network.state_places is not None
    for layer in (network.state_places.own, network.state_places.study):
        torch.nn.init.normal_(layer.weight)

    def look() -> tuple[torch.Tensor, torch.Tensor]:
        network.eval()
        with torch.no_grad():
            shown = network.prompt(findings(), associations=3)
        assert shown.reports is not None
        return shown.states, shown.reports.weights

    before, projections = look(), network.streams["report"].project.weight.detach().clone()
    fit(training(network), 2)
    assert all(torch.equal(one, other) for one, other in zip(before, look(), strict=True))
    assert not torch.equal(projections, network.streams["report"].project.weight)


def test_the_divergence_is_0_at_the_start_and_grows(llm_folder: Path) -> None:
    """Dropout would part the two policies at once."""
    logged: dict[str, list[float]] = {}
    fit(training(network_of(llm_folder), logged), 4)
    assert logged["train/kl"][0] == pytest.approx(0, abs=1e-9)
    assert all(value > 1e-6 for value in logged["train/kl"][1:])


def test_the_reward_rises_in_a_real_training(llm_folder: Path) -> None:
    """From supervised weights that write one of two reports at random, to those that write each study's own."""
    network = network_of(llm_folder, quantization="none")
    wanted = {parameter: parameter.requires_grad for parameter in network.parameters()}
    network.language_model.requires_grad_(True)
    optimizer = torch.optim.AdamW([each for each in network.parameters() if each.requires_grad], lr=3e-3)
    for _ in range(80):  # every study with every report, so the film says nothing yet
        optimizer.zero_grad()
        for text in ("The heart is large.", "No effusion."):
            network(findings()._replace(reports=[text] * 3)).backward()
        optimizer.step()
    for parameter, trained in wanted.items():
        parameter.requires_grad_(trained)
    logged: dict[str, list[float]] = {}
    fit(training(network, logged, lr=5e-3, reward={"samples": 8, "kl": 0.01}), 40)
    gained = logged["train/reward_clinical_f1"]
    assert sum(gained[-5:]) / 5 > sum(gained[:5]) / 5 + 0.1
    assert logged["train/kl"][-1] > 0


def test_a_resumed_training_is_as_if_never_stopped(llm_folder: Path, tmp_path: Path) -> None:
    def fresh() -> ReportGeneration:
        return training(network_of(llm_folder), reward={"kl": 0.1})

    settings: dict[str, Any] = {"enable_checkpointing": True, "gradient_clip_val": 1.0}
    whole, first, second = fresh(), fresh(), fresh()
    fit(whole, 6, RunCheckpoint("train/loss"), folder=tmp_path / "whole", **settings)
    cut = [RunCheckpoint("train/loss", every_n_steps=1), StopAfter(3)]
    fit(first, 6, *cut, folder=tmp_path / "cut", **settings)
    assert first.trainer.global_step == 3
    path = tmp_path / "cut" / "last.ckpt"
    fit(second, 6, folder=tmp_path / "on", ckpt_path=path, gradient_clip_val=1.0)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name
    # but not from other supervised weights
    network = network_of(llm_folder)
    with torch.no_grad():
        network.projection_marks.add_(1.0)
    other = training(network)
    with pytest.raises(CheckpointError, match=r"started from weights \w+, but model\.start_from now holds"):
        fit(other, 6, folder=tmp_path / "other", ckpt_path=path)


def test_the_same_study_and_step_draw_the_same(llm_folder: Path) -> None:
    network = network_of(llm_folder).eval()
    reward = training(network).reward
    assert reward is not None
    with torch.no_grad():
        shown, alone = network.prompt(findings()), network.prompt(findings().take([1]))
    all_three, again = (reward.draw(network, shown, findings(), 2, 5).texts for _ in range(2))
    assert all_three == again
    assert reward.draw(network, alone, findings().take([1]), 2, 5).texts == all_three[4:8]
    assert len(set(all_three)) > 6
    assert reward.draw(network, shown, findings(), 2, 6).texts != all_three
    assert reward.draw(network, shown, findings(), 3, 5).texts != all_three


def test_it_starts_only_from_a_stage_2_of_the_same_parts(llm_folder: Path, tmp_path: Path) -> None:
    network, path = network_of(llm_folder), tmp_path / "best.ckpt"
    supervised = {name: tensor + 1 for name, tensor in network.trained_state_dict().items()}
    reward = training(network).reward
    assert reward is not None
    with pytest.raises(CheckpointError, match=r"^model\.start_from .*best\.ckpt: .*no such checkpoint"):
        reward.start(network, str(path), None)
    torch.save({"state_dict": supervised, "identity": {**network.identity, "report_memory": "other"}}, path)
    with pytest.raises(CheckpointError, match=r"^model\.start_from .*was trained with report_memory 'other'"):
        reward.start(network, str(path), None)
    torch.save({"state_dict": supervised}, path)
    with pytest.raises(CheckpointError, match=r"^model\.start_from .*not a stage-2 checkpoint"):
        reward.start(network, str(path), None)
    torch.save({"state_dict": supervised, "identity": network.identity}, path)
    reward.start(network, str(path), None)
    for name, tensor in network.trained_state_dict().items():
        assert torch.equal(tensor, supervised[name]), name
    assert all(torch.equal(kept, supervised[name]) for name, kept in reward.first.items() if name in supervised)


def test_checkpointing_of_activations_goes_on_and_dropout_does_not(llm_folder: Path) -> None:
    network = network_of(llm_folder, gradient_checkpointing=True)
    model = network.language_model.model
    before = [module.training for module in network.modules()]
    with undisturbed(network):
        dropouts = [module for module in model.modules() if isinstance(module, torch.nn.Dropout)]
        assert dropouts
        assert not any(module.training for module in dropouts)
        assert model.training
        assert not network.training
    assert [module.training for module in network.modules()] == before


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"reward": {}}, r"model\.reward: .*--model\.start_from"),
        ({"reward": {}, "start_from": ""}, r"model\.reward: .*--model\.start_from"),
        ({"start_from": "best.ckpt"}, r"model\.start_from: only reward training"),
        ({"reward": {"samples": 1}, "start_from": "a"}, r"model\.reward\.samples \(1\) must be at least 2"),
        ({"reward": {"kl": -1.0}, "start_from": "a"}, r"model\.reward\.kl \(-1\.0\)"),
        ({"reward": {"temperature": 0.0}, "start_from": "a"}, r"model\.reward\.temperature \(0\.0\)"),
        ({"reward": {"weights": {"bleu": 1.0}}, "start_from": "a"}, r"model\.reward\.weights: found 'bleu'"),
        ({"reward": {"weights": {"cider": -1.0}}, "start_from": "a"}, r"model\.reward\.weights\.cider \(-1\.0\)"),
        ({"reward": {"weights": {"cider": 0.0}}, "start_from": "a"}, r"model\.reward\.weights: no reward has"),
        ({"reward": {"sample": 4}, "start_from": "a"}, r"model\.reward\.sample: no such setting; there are weights"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        ReportGeneration("stage1.ckpt", "regions", "reports", "llm", **settings)


def test_no_other_patients_films_are_asked_for(llm_folder: Path) -> None:
    stage2 = training(network_of(llm_folder), shuffle_loss=0.5)
    data = SimpleNamespace(partnered=set())
    stage2._trainer = SimpleNamespace(datamodule=data)  # type: ignore[assignment]
    stage2.setup("fit")
    assert data.partnered == {"val"}
