"""What teaches stage 1: its losses, the labels they leave out, and what stops them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from ammrg.errors import AMMRGError, DataError, SettingsError
from ammrg.findings import NUM_FINDINGS
from ammrg.networks.disease_classifier import DiseaseClassifier, token_evidence
from ammrg.networks.finding_loss import finding_loss, training_targets
from ammrg.text.report_terms import NUM_TERMS, TERMS
from lightning_modules.disease_classification import DiseaseClassification
from lightning_modules.place_scores import placed_films_loss
from lightning_modules.stage1_losses import report_terms_loss
from tests.lightning_modules.blobs import SETTINGS, Blobs, collate, loader, trainer


def test_unlabelled_studies_and_uncertain_labels_move_nothing() -> None:
    module = DiseaseClassification(**SETTINGS)
    batch = collate([Blobs(3, 0)[i] for i in range(3)])
    batch.labels[1] = math.nan
    batch.labels[2, 3] = -1.0
    logits = torch.randn(3, NUM_FINDINGS, requires_grad=True)
    module.finding_loss(logits, batch).backward()
    assert logits.grad is not None
    assert logits.grad[1].abs().sum() == 0
    assert logits.grad[2, 3] == 0
    assert (logits.grad[0] != 0).all()


def test_a_loss_that_is_not_finite_stops_and_the_studies_are_written_down(tmp_path: Path) -> None:
    module = DiseaseClassification(**{**SETTINGS, "warmup_steps": 1})
    with torch.no_grad():
        module.classifier.head.bias[4] = math.nan  # type: ignore[index, union-attr]
    with pytest.raises(AMMRGError, match=r"s0, s1, .*not_finite-0\.json"):
        trainer(tmp_path, max_epochs=1, enable_checkpointing=False).fit(module, loader(32, 1), loader(16, 2))
    facts = json.loads((tmp_path / "not_finite-0.json").read_text())
    assert facts["study_ids"] == [f"s{i}" for i in range(16)]
    assert facts["of_them_with_logits_that_are_not_finite"] == facts["study_ids"]
    assert (facts["epoch"], facts["step"], facts["loss"]) == (0, 0, "nan")


def test_a_label_that_is_none_stops_by_study_and_finding(tmp_path: Path) -> None:
    data = Blobs(32, 1)
    data.items[21][1][2] = 3.0
    batches = DataLoader(data, batch_size=16, collate_fn=collate)
    with pytest.raises(DataError, match="Lung Opacity of study s21 is 3"):
        trainer(tmp_path, max_epochs=1, enable_checkpointing=False).fit(
            DiseaseClassification(**{**SETTINGS, "warmup_steps": 1}), batches, loader(16, 2)
        )


def test_places_are_taught_through_tokens_and_evidence_is_not(tmp_path: Path) -> None:
    """The place loss of ``places_from: tokens`` reaches the tokens, but neither the head of the findings nor Q_f."""
    module = DiseaseClassification(**{**SETTINGS, "place_loss": 1.0, "places_from": "tokens"})
    films = collate([Blobs(2, 0)[i] for i in range(2)])._replace(reports=["Left pleural effusion.", "Right edema."])
    places = module.classifier(films.images).places
    assert places is not None
    placed_films_loss(places, films).backward()
    assert all(p.grad is not None for p in module.classifier.encoder.parameters() if p.requires_grad)
    assert all(
        p.grad is None for p in (*module.classifier.head.parameters(), *module.classifier.qformer.qformer.parameters())
    )
    fit = trainer(tmp_path, max_epochs=1, enable_checkpointing=False)
    fit.fit(module, loader(48, 1), loader(16, 2))
    assert fit.callback_metrics["train/place_loss"].isfinite()


def test_report_terms_teach_the_encoder_and_are_no_part_of_the_network(tmp_path: Path) -> None:
    module = DiseaseClassification(**{**SETTINGS, "report_terms": 2.0})
    assert module.terms_head is not None
    batch = collate([Blobs(3, 0)[i] for i in range(3)])._replace(reports=["Mild cardiomegaly.", "No edema.", ""])
    films = batch._replace(images=batch.images[[0, 1, 2, 0]], study_of_view=torch.tensor([0, 1, 2, 2]))
    tokens = module.classifier(films.images).raw_tokens
    loss = report_terms_loss(module.terms_head, tokens, films)
    said = torch.zeros(4, NUM_TERMS)
    for term in ("mild*", "cardiomegaly"):
        said[0, TERMS.index(term)] = 1.0
    chance = module.terms_head(tokens.mean(1)).double().sigmoid()
    expected = -(said * chance.log() + (1 - said) * (1 - chance).log()).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    assert all(p.grad is not None for p in module.classifier.encoder.parameters() if p.requires_grad)
    assert all(p.grad is None for p in module.classifier.qformer.parameters())
    fit = trainer(tmp_path, max_epochs=1, enable_checkpointing=False)
    fit.fit(module, loader(48, 1), loader(16, 2))
    assert "train/terms_loss" in fit.logged_metrics
    fit.save_checkpoint(tmp_path / "last.ckpt")
    DiseaseClassification.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True)
    DiseaseClassifier.from_config(torch.load(tmp_path / "last.ckpt", weights_only=True)["classifier_config"])
    assert not any("terms" in name for name in module.classifier.state_dict())


def test_the_loss_is_the_one_asked_for() -> None:
    weights = [float(i + 1) for i in range(NUM_FINDINGS)]
    settings = {"loss": "asymmetric", "gamma_positive": 1.0, "gamma_negative": 2.0, "margin": 0.1}
    module = DiseaseClassification(**{**SETTINGS, **settings, "pos_weight": weights, "uncertain": "smooth"})
    batch = collate([Blobs(3, 0)[i] for i in range(3)])
    batch.labels[1, 3] = -1.0
    logits = torch.randn(3, NUM_FINDINGS)
    targets, mask = training_targets(batch.labels, "smooth")
    expected = finding_loss(
        logits,
        targets,
        mask,
        kind="asymmetric",
        pos_weight=torch.tensor(weights),
        gamma_positive=1.0,
        gamma_negative=2.0,
        margin=0.1,
    )
    torch.testing.assert_close(module.finding_loss(logits, batch), expected)
    assert not torch.isclose(
        module.finding_loss(logits, batch), DiseaseClassification(**SETTINGS).finding_loss(logits, batch)
    )


def test_token_loss_teaches_encoder_and_head_and_needs_a_head_per_query(tmp_path: Path) -> None:
    module = DiseaseClassification(**{**SETTINGS, "token_loss": 2.0})
    assert module.token_bias is not None
    before = module.token_bias.detach().clone()
    trainer(tmp_path, max_steps=3, enable_checkpointing=False).fit(module, loader(48, 1), loader(16, 2))
    assert (module.token_bias != before).all()
    assert not any(name.startswith("token") for name in module.classifier.state_dict())  # helps in training only
    with pytest.raises(SettingsError, match=r"model\.token_loss"):
        DiseaseClassification(**{**SETTINGS, "head": "pooled", "token_loss": 2.0})
    assert DiseaseClassification(**{**SETTINGS, "head": "pooled"}).token_bias is None


def test_token_loss_reads_tokens_with_what_the_queries_ask_for() -> None:
    torch.manual_seed(0)
    module = DiseaseClassification(**{**SETTINGS, "token_loss": 2.0})
    plain = DiseaseClassification(**SETTINGS)
    plain.load_state_dict({k: v for k, v in module.state_dict().items() if k != "token_bias"})
    batch = collate([Blobs(8, 1)[i] for i in range(8)])
    for each in (module, plain):
        each.log = lambda *_, **__: None  # type: ignore[method-assign, assignment]
        each.classifier.train()
    queries = module.classifier.qformer.disease_queries
    loss = module.training_step(batch, 0) - plain.training_step(batch, 0)
    classifier = module.classifier
    evidence = token_evidence(classifier(batch.images).tokens, classifier.finding_weights, module.token_bias)
    targets, mask = training_targets(batch.labels)
    expected = finding_loss(classifier.study_logits(evidence, batch.study_of_view, 8), targets, mask)
    torch.testing.assert_close(loss, 2.0 * expected)
    module.zero_grad()
    (2.0 * expected).backward()
    wanted = queries.grad.clone()  # type: ignore[union-attr]
    module.zero_grad()
    module.training_step(batch, 0).backward()
    plain.training_step(batch, 0).backward()
    found = queries.grad - plain.classifier.qformer.disease_queries.grad  # type: ignore[operator]
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)
    assert wanted.abs().sum() > 0
