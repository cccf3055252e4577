"""ReportNetwork with a real (tiny, random) classifier, language model and banks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from ammrg.errors import CheckpointError, SettingsError
from ammrg.findings import FINDINGS, NO_FINDING
from ammrg.networks.report_network import ReportNetwork, is_same_part
from ammrg.types import StudyBatch
from tests.tiny_stage2 import REPORTS, STUDIES, bank, batch, build


def loss(network: ReportNetwork) -> float:
    return float(network(batch()).detach())


def test_streams_stand_in_order_and_can_be_switched_off(llm_folder: Path) -> None:
    whole = build(llm_folder).eval()
    tokens = [row.detach() for row in whole.prompt(batch()).tokens]
    assert [len(row) for row in tokens] == [36 + 42, 72 + 42, 36 + 42]
    assert tokens[0].shape[1] == whole.language_model.width
    scale = whole.language_model.embedding_scale()
    assert float(tokens[0].square().mean().sqrt()) / scale == pytest.approx(1, abs=0.3)  # read as words from the start

    counts = {
        "image_tokens": [42, 42, 42],
        "query_tokens": [64, 100, 64],
        "visual_memory": [64, 100, 64],
        "report_memory": [64, 100, 64],
    }
    for switch, expected in counts.items():
        part = build(llm_folder, **{switch: False})
        assert [len(row) for row in part.prompt(batch()).tokens] == expected
        assert torch.isfinite(part(batch()))
    with pytest.raises(SettingsError, match="every stream"):
        build(llm_folder, **dict.fromkeys(counts, False))


def test_pooling_averages_the_grid(llm_folder: Path) -> None:
    pooled = build(llm_folder, pool_image_tokens=3)
    assert [len(row) for row in pooled.prompt(batch()).tokens] == [9 + 42, 18 + 42, 9 + 42]
    seen: list[Tensor] = []
    pooled.streams["image"].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    pooled.prompt(batch())
    raw = pooled.classifier(batch().images).raw_tokens.reshape(4, 6, 6, 16)
    torch.testing.assert_close(seen[0][:, 0], raw[:, :2, :2].mean((1, 2)))
    torch.testing.assert_close(seen[0][:, 5], raw[:, 2:4, 4:].mean((1, 2)))


def test_the_view_that_speaks_gives_the_query(llm_folder: Path) -> None:
    network = build(llm_folder).eval()
    seen: list[Tensor] = []
    network.streams["query"].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    shown = network.prompt(batch())
    views = network.classifier(batch().images)
    for finding in range(14):
        pick = min if finding == NO_FINDING else max
        view = pick((1, 2), key=lambda row: float(views.logits[row, finding]))
        torch.testing.assert_close(seen[0][1, finding], views.queries[view, finding])
        torch.testing.assert_close(shown.logits[1, finding], views.logits[view, finding])
    torch.testing.assert_close(seen[0][0], views.queries[0])


def test_projection_marks_tell_views_apart(llm_folder: Path) -> None:
    network = build(llm_folder).eval()
    swapped = batch()._replace(projections=["lateral", "frontal", "lateral", "unknown"])
    change = network.prompt(swapped).tokens[0] - network.prompt(batch()).tokens[0]
    assert change[:36].abs().amin(0).max() > 1e-4
    torch.testing.assert_close(change[36:], torch.zeros_like(change[36:]))
    torch.testing.assert_close(network.prompt(swapped).tokens[1:], network.prompt(batch()).tokens[1:])


def test_only_the_right_parts_learn(llm_folder: Path) -> None:
    network = build(llm_folder, lora={"rank": 2}, finding_tokens=True).train()
    assert not network.classifier.training
    network(batch()).backward()
    trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert trained | {"naming_thresholds"} == set(network.trained_state_dict())
    assert not any(name.startswith("classifier.") for name in trained)
    without = {
        name
        for name, parameter in network.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())
    }
    assert all("lora_A" in name for name in without)  # B starts at zero, so A's first gradient is zero
    frozen = [parameter for parameter in network.parameters() if not parameter.requires_grad]
    assert all(parameter.grad is None for parameter in frozen)


def test_a_classifier_may_be_trained_and_is_then_saved(llm_folder: Path) -> None:
    network = build(llm_folder, freeze=()).train()
    network(batch()).backward()
    assert network.classifier.qformer.disease_queries.grad.abs().sum() > 0
    assert "classifier.qformer.disease_queries" in network.trained_state_dict()


def test_generated_reports_carry_their_reasons(llm_folder: Path) -> None:
    network = build(llm_folder).train()
    reports = network.generate(batch(), max_new_tokens=5)
    assert network.training  # as it was
    assert [report.study_id for report in reports] == list(STUDIES)
    with torch.no_grad():
        logits = network.prompt(batch()).logits
    for row, report in enumerate(reports):
        assert list(report.findings) == list(FINDINGS)
        assert list(report.findings.values()) == pytest.approx(logits[row].sigmoid().tolist())
        for retrieved in (report.regions, report.reports):
            weights = [pattern.weight for pattern in retrieved]
            assert weights == sorted(weights, reverse=True)
            assert 0 < sum(weights) <= 1 + 1e-5
            assert report.study_id not in {pattern.study_id for pattern in retrieved}
        assert all(pattern.text and pattern.box is None and pattern.finding is None for pattern in report.reports)
        for pattern in report.regions:
            assert pattern.finding in FINDINGS
            assert (pattern.box is None) is (pattern.study_id == "")  # only the disease query has no place
    four = [pattern.weight for pattern in reports[0].reports]
    assert len(four) == 4  # six stored, two of them its own
    assert sum(four) == pytest.approx(1, abs=1e-4)


def test_text_does_not_depend_on_the_batch(llm_folder: Path) -> None:
    network = build(llm_folder)
    together = [report.text for report in network.generate(batch(), max_new_tokens=6)]
    whole = batch()
    for row, views in enumerate(([0], [1, 2], [3])):
        single = StudyBatch(
            images=whole.images[views],
            study_of_view=torch.zeros(len(views), dtype=torch.int64),
            labels=whole.labels[:1],
            reports=[""],
            study_ids=[whole.study_ids[row]],
            subject_ids=[whole.subject_ids[row]],
            projections=[whole.projections[view] for view in views],
            boxes=[],
        )
        assert network.generate(single, max_new_tokens=6)[0].text == together[row]


def test_a_drawn_report_belongs_to_its_study(llm_folder: Path) -> None:
    network = build(llm_folder)
    how = {"max_new_tokens": 10, "do_sample": True}
    written = [report.text for report in network.generate(batch(), **how)]
    assert written == [report.text for report in network.generate(batch(), **how)]
    assert written != [report.text for report in network.generate(batch(("t0", "t1", "t2")), **how)]


def test_findings_in_the_prompt_follow_the_thresholds(llm_folder: Path) -> None:
    network = build(llm_folder, instruction="{findings} {indication} Go.").eval()
    logits = network.prompt(batch()).logits
    network.naming_thresholds.fill_(1.0)
    network.naming_thresholds[9] = logits[0, 9].sigmoid()
    network.naming_thresholds[NO_FINDING] = 0.0
    unknown = "Indication: not known. Go."
    assert network.prompt(batch()).instructions[0] == f"Findings: none. {unknown}"  # on its threshold, not above it
    network.naming_thresholds[9] = logits[0, 9].sigmoid().nextafter(torch.zeros(()))
    assert network.prompt(batch()).instructions[0] == f"Findings: pleural effusion. {unknown}"
    asked = batch()._replace(indications=["cough", "", "pain"])
    assert network.prompt(asked).instructions[0] == "Findings: pleural effusion. Indication: cough. Go."
    network.naming_thresholds.fill_(1.0)
    assert network.prompt(batch()).instructions == [f"Findings: none. {unknown}"] * 3
    assert build(llm_folder, instruction="Go.").prompt(batch()).instructions == ["Go."] * 3


def test_findings_are_named_as_often_as_they_are_there(llm_folder: Path) -> None:
    network = build(llm_folder)
    assert torch.equal(network.naming_thresholds, network.classifier.thresholds)
    probabilities = torch.rand(200, 14, generator=torch.Generator().manual_seed(0))
    prevalence = torch.linspace(0, 0.9, 14)
    network.name_as_often(probabilities, prevalence)
    named = network.names(torch.logit(probabilities)).float().mean(0)
    torch.testing.assert_close(named, prevalence, atol=0.01, rtol=0)
    assert "naming_thresholds" in network.trained_state_dict()


def test_a_finding_on_its_threshold_is_not_named_and_the_study_that_sets_one_is(llm_folder: Path) -> None:
    network = build(llm_folder)
    logits = torch.linspace(-2, 2, 14)[None]
    network.naming_thresholds.copy_(logits[0].sigmoid())
    assert not network.names(logits).any()
    network.naming_thresholds.copy_(logits[0].sigmoid().nextafter(torch.zeros(14)))
    assert network.names(logits).all()
    logits = torch.linspace(-2, 2, 5)[:, None].expand(-1, 14)
    network.name_as_often(logits.sigmoid(), torch.full((14,), 1.0))
    assert network.names(logits).all()


def test_finding_tokens_start_as_the_words_of_the_finding(llm_folder: Path) -> None:
    plain, named = build(llm_folder).eval(), build(llm_folder, finding_tokens=True).eval()
    named.streams.load_state_dict(plain.streams.state_dict())
    shown = named.prompt(batch())
    extra = shown.tokens[0][36:50] - plain.prompt(batch()).tokens[0][36:50]
    model = named.language_model
    words = model.embed(torch.tensor(model.tokenizer.encode(" pleural effusion"))).mean(0)
    threshold = torch.logit(named.classifier.thresholds[9])
    expected = words * (shown.logits[0, 9] - threshold).sigmoid()
    torch.testing.assert_close(extra[9], expected, rtol=1e-3, atol=1e-5)


def test_saved_weights_come_back_and_others_are_refused(llm_folder: Path) -> None:
    first = build(llm_folder, seed=1, lora={"rank": 2}).eval()
    second = build(llm_folder, seed=1, lora={"rank": 2}).eval()
    with torch.no_grad():
        for parameter in first.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    assert loss(first) != pytest.approx(loss(second), abs=1e-4)
    second.load_trained_state_dict(first.trained_state_dict())
    assert loss(first) == pytest.approx(loss(second), abs=1e-6)
    with pytest.raises(CheckpointError, match=r"streams\.image"):
        build(llm_folder, image_tokens=False).load_trained_state_dict(first.trained_state_dict())
    short = {key: value for key, value in first.trained_state_dict().items() if "retrievals.visual" not in key}
    with pytest.raises(CheckpointError, match=r"Missing.*retrievals\.visual"):
        second.load_trained_state_dict(short)


def test_identity_names_all_that_the_weights_belong_to(llm_folder: Path) -> None:
    first = build(llm_folder).identity
    assert set(first) == {"classifier", "visual_memory", "report_memory", "language_model"}
    assert build(llm_folder).identity == first
    assert build(llm_folder, seed=1).identity["classifier"] != first["classifier"]
    other = build(llm_folder, banks=(bank("regions", 32), bank("reports", 24, seed=6)))
    assert {name for name, value in other.identity.items() if value != first[name]} == {"report_memory"}
    assert build(llm_folder, report_memory=False).identity["report_memory"] is None


def test_banks_that_do_not_fit_are_refused(llm_folder: Path) -> None:
    with pytest.raises(SettingsError, match="width 16, this classifier's tokens 32"):
        build(llm_folder, banks=(bank("regions", 16), bank("reports", 24)))
    with pytest.raises(SettingsError, match="report_memory is on"):
        build(llm_folder, banks=(bank("regions", 32), None))
    with pytest.raises(SettingsError, match="query_tokens is off"):
        build(llm_folder, query_tokens=False, finding_tokens=True)


def test_it_learns_to_write_what_its_films_show(llm_folder: Path) -> None:
    network = build(llm_folder, lora={"rank": 8}, visual_memory=False, report_memory=False, pool_image_tokens=1)
    shades = torch.tensor([0, 120, 120, 250]).reshape(4, 1, 1, 1)
    films = batch()._replace(images=(batch().images // 16 + shades).clamp(0, 255).to(torch.uint8))
    trained = [parameter for parameter in network.train().parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=3e-3, weight_decay=0)
    for _ in range(120):
        optimizer.zero_grad()
        network(films).backward()
        optimizer.step()
    assert [report.text for report in network.generate(films)] == REPORTS
    swapped = films._replace(images=films.images.flip(0))
    texts = [report.text for report in network.generate(swapped)]
    assert (texts[0], texts[2]) == (REPORTS[2], REPORTS[0])  # the films decide, not the place in the batch


def test_a_language_model_is_the_same_wherever_its_files_lie() -> None:
    kept = {"name": "models/llm", "revision": None, "quantization": "nf4", "fingerprint": "01"}
    assert is_same_part(kept, {**kept, "name": "/elsewhere/llm"})
    assert not is_same_part(kept, {**kept, "fingerprint": "02"})
    assert not is_same_part(kept, {**kept, "quantization": "none"})
    assert not is_same_part({**kept, "fingerprint": None}, {**kept, "name": "other/llm", "fingerprint": None})
    assert is_same_part("ab", "ab")
    assert not is_same_part(None, "ab")
