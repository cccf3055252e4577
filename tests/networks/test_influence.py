"""Influence against a whole recomputation, and where it must be none or large."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from ammrg.networks import influence
from ammrg.networks.hopfield import HopfieldRetrieval
from ammrg.networks.influence import exchanges, random_influences, recalled_first, with_influence
from ammrg.networks.report_network import ReportNetwork
from ammrg.types import GeneratedReport, Retrieval, StudyBatch
from tests.tiny_stage2 import bank, batch, build, copying

OTHERS = ("x0", "x1", "x2")


def written(network: ReportNetwork, shown: StudyBatch, length: int = 8) -> list[GeneratedReport]:
    network.classifier.thresholds.fill_(1.0)
    network.classifier.thresholds[[2, 9]] = 0.0  # two findings are found in every study
    return network.generate(shown, max_new_tokens=length)


def with_values_of(row: int, other: int) -> Callable[[HopfieldRetrieval, tuple[Any, ...], Retrieval], Retrieval]:
    """A hook: the layer's tokens with every value computed anew, that of a row from another pattern."""

    def hook(module: HopfieldRetrieval, inputs: tuple[Any, ...], found: Retrieval) -> Retrieval:
        associations = module.associations(*inputs)  # [b s h n]
        given = inputs[1].clone()
        given[row] = inputs[1][other]
        given = F.layer_norm(given, given.shape[1:], module.value_scale, module.value_shift)
        values = torch.einsum("np,hap->hna", given, module.value_weight) + module.value_bias[:, None]
        read = torch.einsum("bshn,hna->bsha", associations, values)
        return found._replace(tokens=module.out(read.flatten(2)))

    return hook


def log_likelihood(network: ReportNetwork, shown: StudyBatch, study: int, text: str) -> float:
    prompt = network.prompt(shown)
    losses = network.language_model.target_losses([prompt.tokens[study]], [text], prompt.instructions[study])
    return -float(losses.values.sum())


def test_influence_is_what_a_whole_recomputation_gives(llm_folder: Path) -> None:
    network, shown = build(llm_folder, lora={"rank": 2}).eval().requires_grad_(False), batch()
    reports = written(network, shown)
    found = exchanges(network, shown, reports, network.see(shown.images), 2)
    assert [(each.study, each.memory, each.pattern) for each in found] == [
        (study, memory, pattern)
        for study, report in enumerate(reports)
        for memory, patterns in recalled_first(report).items()
        for pattern in patterns
    ]
    assert {each.memory for each in found} == {"visual", "report"}
    for each in found:
        text = reports[each.study].text
        assert each.likelihood == pytest.approx(log_likelihood(network, shown, each.study, text), abs=1e-3)
        assert len(each.others) == 2
        for other, value in each.others.items():
            handle = network.retrievals[each.memory].register_forward_hook(with_values_of(each.pattern, other))
            expected = log_likelihood(network, shown, each.study, text)
            handle.remove()
            assert value == pytest.approx(expected, abs=1e-3)
            assert value != pytest.approx(each.likelihood, abs=1e-3)  # or the test would see nothing
        assert each.influence == pytest.approx(each.likelihood - sum(each.others.values()) / 2)


def test_an_estimate_follows_the_slope_and_what_could_matter_is_computed(
    llm_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, shown = build(llm_folder, lora={"rank": 2}).eval().requires_grad_(False), batch()
    reports, seen = written(network, shown), network.see(shown.images)
    with torch.inference_mode():
        exact = exchanges(network, shown, reports, seen, 2)
        with monkeypatch.context() as patch:
            patch.setattr(influence, "LEAST", math.inf)
            estimated = exchanges(network, shown, reports, seen, 2, certain=math.inf)
        low, *_, high = sorted(each.influence for each in estimated)[1:-1]
        monkeypatch.setattr(influence, "LEAST", -low)
        mixed = exchanges(network, shown, reports, seen, 2, certain=high)
    prompt = network.prompt(shown)
    for whole, near, either in zip(exact, estimated, mixed, strict=True):
        assert whole[:3] == near[:3] == either[:3]
        assert near.likelihood == pytest.approx(whole.likelihood, abs=1e-4)
        wanted = near if low <= near.influence <= high else whole
        assert either.others == pytest.approx(wanted.others, abs=1e-4)
        # a hundredth of the way towards a random pattern, the curvature plays no part
        for other, value in near.others.items():
            changed = influence._Exchanger(network, whole.memory, shown, prompt)(whole.study, [whole.pattern], 2)
            tokens, before = changed[whole.pattern][other], prompt.tokens[whole.study]
            text = reports[whole.study].text
            little = before + 1e-2 * (tokens - before)
            losses = network.language_model.target_losses([little], [text], prompt.instructions[whole.study])
            slope = (-float(losses.values.sum()) - whole.likelihood) / 1e-2
            assert value - near.likelihood == pytest.approx(slope, rel=0.1, abs=3e-3)


def test_reports_carry_the_influence_of_what_was_recalled_first(llm_folder: Path) -> None:
    network, shown = build(llm_folder).eval(), batch()
    reports, seen = written(network, shown), network.see(shown.images)
    measured = with_influence(network, shown, reports, seen)
    for report, before, row in zip(measured, reports, range(3), strict=True):
        assert report.text == before.text
        first = recalled_first(before)
        assert len(first["report"]) == 3
        assert 1 <= len(first["visual"]) <= len(report.recalled) == 2
        for patterns, memory in ((report.regions, "visual"), (report.reports, "report")):
            for pattern in patterns:
                assert (pattern.influence is not None) is (pattern.pattern in first[memory])
        for patterns in report.recalled.values():
            assert patterns[0].influence is not None
        alone = with_influence(network, shown.take([row]), [before], network.see(shown.take([row]).images))[0]
        for ours, theirs in zip([*report.reports, *report.regions], [*alone.reports, *alone.regions], strict=True):
            assert ours.influence == pytest.approx(theirs.influence, abs=1e-3)  # the rest of the batch is nothing to it


def test_random_patterns_are_neither_the_patient_s_nor_nearly_the_same(llm_folder: Path) -> None:
    """And the near-duplicates of a pattern, one of them with a fifth of its weight, are exchanged together with it."""
    memory = bank("reports", 24)
    memory.patterns[3] = 2 * memory.patterns[2] + 1e-3 * memory.patterns[5]
    network = build(llm_folder, banks=(bank("regions", 32), memory)).eval()
    shown = batch(("s0", "x1", "x2"))
    reports = written(network, shown)
    found = exchanges(network, shown, reports, network.see(shown.images), 6)
    apart = [each for each in found if each.memory == "report"]
    assert {each.pattern for each in apart} & {2, 3}
    for each in apart:
        together = {2, 3} if each.pattern in (2, 3) else {each.pattern}
        own = {0, 1} if each.study == 0 else set()
        assert set(each.others) == set(range(6)) - together - own
    twins = [each for each in apart if each.pattern in (2, 3)]
    for one in twins:
        for other in twins:
            if one.study == other.study:
                assert one.influence == pytest.approx(other.influence, abs=1e-3)


def test_a_study_that_owns_the_rest_has_no_influence_to_tell(llm_folder: Path) -> None:
    """Of the four reports that this study may recall, all are nearly the same."""
    memory = bank("reports", 24)
    memory.patterns[2:] = memory.patterns[2] + 1e-3 * memory.patterns[2:]
    network = build(llm_folder, banks=(bank("regions", 32), memory)).eval()
    shown = batch(("s0", "x1", "x2"))
    measured = with_influence(network, shown, written(network, shown), network.see(shown.images))
    assert all(pattern.influence is None for pattern in measured[0].reports)
    assert any(pattern.influence is not None for pattern in measured[1].reports)


def test_a_memory_whose_stream_is_cut_has_no_influence(llm_folder: Path) -> None:
    network, shown = build(llm_folder).eval().requires_grad_(False), batch()
    network.streams["visual"].project.weight.zero_()
    reports, seen = written(network, shown), network.see(shown.images)
    for each in exchanges(network, shown, reports, seen, 3):
        assert (abs(each.influence) < 1e-4) is (each.memory == "visual")
    for study in random_influences(network, shown, reports, seen):
        assert max(map(abs, study["regions"])) < 1e-4 < max(map(abs, study["reports"]))


def test_a_copied_report_is_a_reason(llm_folder: Path) -> None:
    network = copying(llm_folder, 4)
    shown, validation = batch(OTHERS), batch(("v0", "v1", "v2"))
    seen = network.see(shown.images)
    reports = network.generate(shown, seen=seen)
    assert [report.text for report in reports] == ["A tube is seen."] * 3
    random = random_influences(network, validation, network.generate(validation), network.see(validation.images))
    limits = influence.thresholds(random)
    assert limits.regions is None  # that memory is off
    for report in with_influence(network, shown, reports, seen):
        reasons = [each.pattern for each in report.reports if limits.exceeded("reports", each.influence)]
        assert reasons == [4]
        assert report.reports[0].influence is not None
        assert report.reports[0].influence > 20


def test_memories_that_are_off_have_nothing_to_measure(llm_folder: Path) -> None:
    network, shown = build(llm_folder, visual_memory=False, report_memory=False).eval(), batch()
    reports, seen = written(network, shown), network.see(shown.images)
    assert with_influence(network, shown, reports, seen) == reports
    random = random_influences(network, shown, reports, seen)
    assert random == [{}] * 3
    assert influence.thresholds(random) == (None, None, 3, 0.0)


def test_the_threshold_is_a_percentile_and_never_rounding_alone() -> None:
    random = [{"regions": [float(value)], "reports": [1e-6 * value]} for value in range(101)]
    found = influence.thresholds(random)
    assert found.regions == pytest.approx(95)
    assert found.reports == influence.LEAST
    assert found.chance == 5 / 101  # 96 to 100
    assert not found.exceeded("regions", 95.0)
    assert found.exceeded("regions", 95.5)
    assert not found.exceeded("regions", None)
