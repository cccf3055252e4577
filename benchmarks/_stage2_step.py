"""Training steps of stage 2 for :mod:`benchmarks.stage2`: ours, the published one, and mixtures of both."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ammrg.networks.disease_classifier import DiseaseClassifier
from ammrg.networks.hopfield import HopfieldRetrieval
from ammrg.networks.language_model import LanguageModel
from ammrg.networks.report_network import ReportNetwork
from ammrg.networks.visual_prompt import VisualPrompt
from ammrg.types import Retrieval, StudyBatch
from benchmarks._stage2_inputs import REGIONS, REPORT_WIDTH, REPORTS, draw_bank, overlay
from benchmarks.hopfield import peer_layer

PUBLISHED_ASSOCIATION = 1024
Ingredients = frozenset[str]
INGREDIENTS = {
    "shuffled": "batches of any lengths",
    "padded": "padded to max_length",
    "everywhere": "logits at every position",
    "hflayers": "hflayers over expanded patterns",
    "graph": "stage 1 in the graph",
}
"""Ingredients of the published step -> name of the row in which our step has the ingredient."""
ALL: Ingredients = frozenset(INGREDIENTS)


class Sizes(NamedTuple):
    """The sizes of a run."""

    regions: int = REGIONS
    reports: int = REPORTS
    association: int | None = None
    """Width of the association space; None = the overlay's."""
    memories: bool = True


COMMON = ("pool_image_tokens", "finding_tokens", "hopfield")
"""Settings of the overlay's network that the published step can have too."""


def build(
    language_model: LanguageModel, sizes: Sizes, ingredients: Ingredients = frozenset(), dropout: bool = True
) -> ReportNetwork:
    """A network around this language model; the same sizes give the same weights, whatever the ingredients."""
    torch.manual_seed(0)
    stage1, stage2 = overlay("stage1"), overlay("stage2")
    network = {name: stage2["network"][name] for name in COMMON}
    network["hopfield"] = dict(network["hopfield"])
    if sizes.association is not None:
        network["hopfield"]["association_width"] = sizes.association
    if not dropout:
        network["hopfield"]["dropout"] = 0.0
    classifier = DiseaseClassifier(stage1["encoder"], stage1["qformer"], views=stage1["views"])
    generator = ReportNetwork(
        classifier,
        language_model,
        draw_bank("regions", sizes.regions, classifier.width) if sizes.memories else None,
        draw_bank("reports", sizes.reports, REPORT_WIDTH) if sizes.memories else None,
        visual_memory=sizes.memories,
        report_memory=sizes.memories,
        # the public code lets a study recall its own patterns
        exclude_self="none" if "hflayers" in ingredients or not dropout else "patient",
        max_report_tokens=stage2["max_report_tokens"],
        freeze=() if "graph" in ingredients else ("encoder", "qformer"),
        **network,
    )
    if "hflayers" in ingredients:
        for name, retrieval in generator.retrievals.items():
            generator.retrievals[name] = Expanded(cast(HopfieldRetrieval, retrieval))
    return generator


class Expanded(nn.Module):
    """The public layer in place of ours: it expands stored patterns over the batch and projects them for each study."""

    def __init__(self, retrieval: HopfieldRetrieval) -> None:
        super().__init__()
        peer = peer_layer(retrieval)
        assert peer is not None, "asked for only where hflayers is at hand"
        self.peer = peer

    def forward(self, states: Tensor, patterns: Tensor, mask: Tensor | None = None, **_: Any) -> Retrieval:
        assert mask is None, "the published step masks nothing"
        stored = patterns.expand(len(states), *patterns.shape)
        tokens = self.peer((stored, states, stored))
        return Retrieval(tokens, torch.empty(*states.shape[:2], 0, dtype=torch.long), states.new_empty(0))


def plain_loss(
    language_model: LanguageModel, shown: VisualPrompt, reports: Sequence[str], limit: int, ingredients: Ingredients
) -> Tensor:
    """Mean cross entropy of report tokens and ends, computed as in the public code.

    Every prompt is embedded again, reports are cut at ``limit`` tokens and padded on the right, and ``labels`` are -100
    where there is no target.
    """
    targets = [
        torch.tensor([*language_model.tokenizer.encode(report, add_special_tokens=False), language_model.end_id])
        for report in reports
    ]
    targets = [ids[:limit] for ids in targets]
    wide = limit if "padded" in ingredients else max(map(len, targets))
    rows, masks, labels = [], [], []
    for tokens, instruction, ids in zip(shown.tokens, shown.instructions, targets, strict=True):
        before, after = (language_model.embed(torch.tensor(part)) for part in language_model.prompt_parts(instruction))
        prompt, blank = torch.cat([before, tokens.to(before), after]), wide - len(ids)
        rows.append(torch.cat([prompt, language_model.embed(F.pad(ids, (0, blank), value=language_model.pad_id))]))
        masks.append(F.pad(torch.ones(len(prompt) + len(ids), dtype=torch.long), (0, blank)))
        labels.append(F.pad(ids, (len(prompt), blank), value=-100))
    inputs = {"inputs_embeds": torch.stack(rows), "attention_mask": torch.stack(masks), "use_cache": False}
    wanted = torch.stack(labels)
    if "everywhere" in ingredients:
        return cast(Tensor, language_model.model(**inputs, labels=wanted).loss)
    kept = F.pad(wanted[:, 1:] != -100, (0, 1))
    logits = language_model.model(**inputs, logits_to_keep=kept).logits
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]).float(), torch.cat(targets))


class Step:
    """One training step: loss, gradients, clipping and AdamW.

    Without ingredients it is our step; with all of them it is the published one.
    """

    def __init__(self, network: ReportNetwork, ingredients: Ingredients = frozenset()) -> None:
        self.network, self.ingredients = network.train(), ingredients
        network.classifier.eval()  # neither side trains stage 1, so it stays in evaluation mode
        stage1 = set(network.classifier.parameters())
        self.trained = [p for p in network.parameters() if p.requires_grad and p not in stage1]
        self.optimizer = torch.optim.AdamW(self.trained, lr=1e-5)

    def loss(self, batch: StudyBatch) -> Tensor:
        """Mean next-token cross entropy over the report tokens and ends of a batch."""
        if not self.ingredients & {"padded", "everywhere"}:
            return cast(Tensor, self.network(batch))
        shown, limit = self.network.prompt(batch), self.network.max_report_tokens
        return plain_loss(self.network.language_model, shown, batch.reports, limit, self.ingredients)

    def __call__(self, batch: StudyBatch) -> float:
        """Run the step; returns its seconds."""
        start = time.perf_counter()
        self.network.zero_grad(set_to_none=True)
        self.loss(batch).backward()
        nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        return time.perf_counter() - start


def named(ingredients: Ingredients) -> str:
    """The name of a row with these ingredients."""
    if len(ingredients) > 1:
        return "published"
    return next((INGREDIENTS[name] for name in ingredients), "ours")
