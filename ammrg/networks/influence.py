"""Influence: how much a recalled pattern made the language model write the report that it wrote.

The influence of a pattern p on a written report T is defined by what T loses without p, beyond what it loses without a
random pattern r of the same memory that has the same associations. With the log-likelihood LL of T, in nats:

    influence(p) = mean_r [(LL - LL_without) - (LL_r - LL_without)] = LL - mean_r LL_r

LL is that of what was retrieved, LL_without that without p (its associations 0, the others' as they are), and LL_r that
with r in the place of p, at the associations of p in each head and query. LL_without cancels, so only LL and a few LL_r
are needed. Most patterns have next to no influence, so LL_r is first estimated by the slope of LL, one backward pass
for all patterns of a study: LL_r = LL + slope . (tokens with r - tokens). Where the influence could matter by this
estimate (:data:`CERTAIN`), each LL_r is computed. Patterns that are nearly the same as p are exchanged together with
it, because each of them would bring what the other no longer does.

Influence is about the text alone: a pattern may be like the film, and recalled with a large association, without any.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ammrg.findings import NUM_FINDINGS
from ammrg.memory.bank import owners_mask
from ammrg.networks.evaluating import evaluating
from ammrg.networks.reading_thresholds import ReadingThresholds
from ammrg.networks.report_network import ReportNetwork
from ammrg.networks.visual_prompt import SeenFilms, VisualPrompt
from ammrg.reasons import PERCENTILE, InfluenceThresholds, MemoryKind
from ammrg.types import Attribution, GeneratedReport, StudyBatch

KINDS: dict[str, MemoryKind] = {"visual": "regions", "report": "reports"}
"""Name of a memory in the network -> what it holds."""
RANDOM_PATTERNS = 3
"""Number of random patterns r over which the influence is averaged."""
NEAR_DUPLICATE = 0.95
"""Patterns whose cosine (after the layer norm) with p is larger are exchanged together with p, and are never r."""
REPORTS_MEASURED = 3
"""Number of recalled reports whose influence is measured, strongest first."""
LEAST = 0.01
"""Least threshold, in nats: a smaller influence may be rounding, and makes a report less than 1% more likely."""
CERTAIN = 0.003
"""Estimated influences from minus :data:`LEAST` up to this, in nats, stay estimates. It is far below LEAST, so that no
reason is missed: of 385 patterns (80 validation studies of the phantom), 14 had more influence than LEAST, and all of
these were estimated above .005; the estimate was wrong by .0002 in the median of regions, and by .009 at most."""
TEXTS_AT_ONCE = 16
"""Texts that the language model reads at once; this limits the memory for their logits."""
SLOPES_AT_ONCE = 4
"""The same where it needs a slope, and keeps the activations of all layers."""


class Exchange(NamedTuple):
    """How likely a written report is with a recalled pattern, and with random ones in its place."""

    study: int
    """Row of the study in its batch."""
    memory: str
    """``visual`` or ``report``."""
    pattern: int
    """Row of the bank."""
    likelihood: float
    """Log-likelihood of the report as it was written, in nats."""
    others: Mapping[int, float]
    """Row of a random pattern -> the same with this pattern in its place, computed or estimated; at least one."""

    @property
    def influence(self) -> float:
        """Influence of the pattern, in nats."""
        return self.likelihood - fmean(self.others.values())


def with_influence(
    network: ReportNetwork,
    batch: StudyBatch,
    reports: Sequence[GeneratedReport],
    seen: SeenFilms,
    reading: ReadingThresholds | None = None,
) -> list[GeneratedReport]:
    """Add the influence of the first region that each finding's query recalled, and of the first recalled reports.

    Other patterns have none. Where every other pattern is nearly the same or the patient's own, there is none either.

    Args:
        network: the network that wrote the reports, from its own memories.
        batch: their b studies.
        reports: of the b studies.
        seen: stage 1's output for the batch's films.
        reading: the thresholds with which they were written; None = the network's own.
    """
    found: dict[tuple[int, str], dict[int, float]] = {}
    for each in exchanges(network, batch, reports, seen, RANDOM_PATTERNS, reading, CERTAIN):
        found.setdefault((each.study, each.memory), {})[each.pattern] = each.influence

    def measured(patterns: Sequence[Attribution], influences: Mapping[int, float]) -> list[Attribution]:
        return [each._replace(influence=influences.get(each.pattern)) for each in patterns]

    result = []
    for study, report in enumerate(reports):
        regions, texts = found.get((study, "visual"), {}), found.get((study, "report"), {})
        recalled = {finding: measured(patterns, regions) for finding, patterns in report.recalled.items()}
        result.append(
            report._replace(
                regions=measured(report.regions, regions), reports=measured(report.reports, texts), recalled=recalled
            )
        )
    return result


def random_influences(
    network: ReportNetwork, batch: StudyBatch, reports: Sequence[GeneratedReport], seen: SeenFilms
) -> list[dict[MemoryKind, list[float]]]:
    """Measure the influence of random patterns: each is put in the place of a pattern that a study recalled.

    Arguments are as for :func:`with_influence`, and so are the patterns whose places are taken.

    Returns:
        For each of the b studies: memory -> one influence, in nats, for each place.
    """
    result: list[dict[MemoryKind, list[float]]] = [{} for _ in reports]
    for each in exchanges(network, batch, reports, seen, RANDOM_PATTERNS + 1):
        first, *others = each.others.values()
        if others:
            result[each.study].setdefault(KINDS[each.memory], []).append(first - fmean(others))
    return result


def thresholds(random: Sequence[Mapping[MemoryKind, Sequence[float]]]) -> InfluenceThresholds:
    """Choose what counts as a reason: more influence than :data:`PERCENTILE` in 100 random patterns.

    Args:
        random: of validation studies, from :func:`random_influences`.
    """
    limits: dict[MemoryKind, float] = {}
    for kind in KINDS.values():
        if found := [value for study in random for value in study.get(kind, ())]:
            limits[kind] = max(LEAST, float(np.percentile(found, PERCENTILE)))
    passed = [any(value > limits[kind] for kind, values in study.items() for value in values) for study in random]
    return InfluenceThresholds(limits.get("regions"), limits.get("reports"), len(random), fmean(passed or [0]))


def recalled_first(report: GeneratedReport) -> dict[str, list[int]]:
    """Return the patterns of each memory whose influence is measured, each once: rows of the banks."""
    regions = (patterns[0].pattern for patterns in report.recalled.values() if patterns)
    reports = (each.pattern for each in report.reports[:REPORTS_MEASURED])
    return {"visual": list(dict.fromkeys(regions)), "report": list(dict.fromkeys(reports))}


@torch.no_grad()
def exchanges(
    network: ReportNetwork,
    batch: StudyBatch,
    reports: Sequence[GeneratedReport],
    seen: SeenFilms,
    draws: int,
    reading: ReadingThresholds | None = None,
    certain: float = -math.inf,
) -> list[Exchange]:
    """Exchange each pattern of :func:`recalled_first` for random ones, and compute the report's log-likelihoods.

    A pattern for which there is no random one is left out. Random patterns follow from the study's id.

    Args:
        network: the network that wrote the reports, from its own memories.
        batch: their b studies.
        reports: of the b studies.
        seen: stage 1's output for the batch's films.
        draws: most random patterns in the place of each.
        reading: the thresholds with which they were written; None = the network's own.
        certain: where the estimated influence, in nats, lies between minus :data:`LEAST` and this, likelihoods stay
            estimates; by default all are computed.
    """
    with evaluating(network):
        shown = network.prompt(batch, seen=seen, reading=reading)
        exchangers = {name: _Exchanger(network, name, batch, shown) for name in network.retrievals}
        texts = [report.text for report in reports]
        found, again = [], []
        for study, (likelihood, slope) in enumerate(_slopes(network, shown, texts)):
            first = recalled_first(reports[study])
            for name, exchanger in exchangers.items():
                for pattern, exchanged in exchanger(study, first[name], draws).items():
                    if not exchanged:
                        continue
                    steps = {other: tokens - shown.tokens[study] for other, tokens in exchanged.items()}
                    others = {other: likelihood + float((slope * step).sum()) for other, step in steps.items()}
                    found.append(Exchange(study, name, pattern, likelihood, others))
                    if not -LEAST <= found[-1].influence <= certain:
                        again.append((len(found) - 1, study, exchanged))
        read = [
            (tokens, shown.instructions[study], texts[study]) for _, study, given in again for tokens in given.values()
        ]
        exact = iter(_log_likelihoods(network, read))
        for place, _, given in again:
            found[place] = found[place]._replace(others={other: next(exact) for other in given})
    return found


class _Exchanger:
    """Exchanges patterns of one memory for random ones, in the prompts of a batch.

    Args:
        network: the network.
        name: of the memory.
        batch: b studies.
        shown: their prompts.
    """

    def __init__(self, network: ReportNetwork, name: str, batch: StudyBatch, shown: VisualPrompt) -> None:
        self.memory, self.stream = network.memory(name), network.streams[name]
        self.study_ids, self.shown = batch.study_ids, shown
        retrieved = shown.regions if name == "visual" else shown.reports
        assert retrieved is not None
        self.retrieved = retrieved.tokens  # [b 14 q]
        self.may_recall = self.memory.may_recall(batch)
        self.of_others = owners_mask(self.memory.bank, batch.study_ids, batch.subject_ids, "shared")
        memories = list(network.retrievals)  # their tokens are the last of a prompt
        self.from_end = NUM_FINDINGS * (len(memories) - memories.index(name))

    def __call__(self, study: int, rows: Sequence[int], draws: int) -> dict[int, dict[int, Tensor]]:
        """Exchange each of some patterns (rows of the bank) for up to ``draws`` random ones.

        Returns:
            Pattern -> random pattern -> the study's visual tokens ``[m d]`` with the second in the place of the first.
        """
        if not rows:
            return {}
        bank, patterns, _, retrieval, candidates, *_ = self.memory
        allowed = None if self.may_recall is None else self.may_recall[study][None]
        state = self.shown.states[study][None]
        associations = retrieval.associations(state, patterns, allowed, candidates, self.memory.bias)[0]
        exchanged = retrieval.similarities(patterns, torch.tensor(rows, device=patterns.device)) > NEAR_DUPLICATE
        drawn = torch.randperm(len(bank), generator=torch.Generator().manual_seed(_seed(self.study_ids[study])))
        result = {}
        for row, together in zip(rows, exchanged, strict=True):
            together[row] = True
            others = drawn[(self.of_others[study] & ~together.cpu())[drawn]][:draws].to(patterns.device)
            change = retrieval.exchange(associations, patterns, together.nonzero()[:, 0], others)
            tokens = self.stream(self.retrieved[study] + change)  # [m 14 d]
            result[row] = {other: self._with(study, each) for other, each in zip(others.tolist(), tokens, strict=True)}
        return result

    def _with(self, study: int, tokens: Tensor) -> Tensor:
        """Return the study's visual tokens with others, ``[14 d]``, in the memory's place."""
        whole = self.shown.tokens[study]
        start = len(whole) - self.from_end
        return torch.cat([whole[:start], tokens.to(whole), whole[start + NUM_FINDINGS :]])


def _seed(study_id: str) -> int:
    return zlib.crc32(study_id.encode())


def _slopes(network: ReportNetwork, shown: VisualPrompt, texts: Sequence[str]) -> list[tuple[float, Tensor]]:
    """Compute the log-likelihood of each study's text, in nats, and its slope by the visual tokens ``[m d]``."""
    result: list[tuple[float, Tensor]] = []
    for start in range(0, len(texts), SLOPES_AT_ONCE):
        part = slice(start, start + SLOPES_AT_ONCE)
        with torch.inference_mode(False), torch.enable_grad():  # the caller may have switched both
            visual = [tokens.clone().requires_grad_() for tokens in shown.tokens[part]]
            likelihoods = _of_texts(network, visual, shown.instructions[part], texts[part])
            slopes = torch.autograd.grad(likelihoods.sum(), visual)
        result += zip(likelihoods.tolist(), slopes, strict=True)
    return result


def _log_likelihoods(network: ReportNetwork, read: Sequence[tuple[Tensor, str, str]]) -> list[float]:
    """Compute the log-likelihoods of texts, in nats, from (visual tokens ``[m d]``, instruction, text) of each."""
    result: list[float] = []
    for start in range(0, len(read), TEXTS_AT_ONCE):
        result += _of_texts(network, *zip(*read[start : start + TEXTS_AT_ONCE], strict=True)).tolist()
    return result


def _of_texts(
    network: ReportNetwork, visual: Sequence[Tensor], instructions: Sequence[str], texts: Sequence[str]
) -> Tensor:
    """Compute the log-likelihoods of n texts with their ends, float64 ``[n]`` in nats."""
    losses = network.language_model.target_losses(visual, texts, instructions)
    return losses.values.new_zeros(len(texts), dtype=torch.float64).index_add(
        0, losses.report_of_token, -losses.values.double()
    )
