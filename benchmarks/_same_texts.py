"""Measures whether a study gets the same text alone and in a batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ammrg.networks.report_network import ReportNetwork
from benchmarks._stage2_inputs import batch_of, draw_studies, on


def same_texts(network: ReportNetwork, count: int, new_tokens: int) -> float:
    """Share of studies that get the same text alone and in a batch of ``count``.

    Studies have one film and two in turn, so that prompts differ in length. Weights are random, so token ids that write
    nothing, such as the end, are not allowed.
    """
    studies, model = draw_studies(count), network.language_model
    known, ids = len(model.tokenizer), len(model.model.get_input_embeddings().weight)
    silent = [id for id in range(known) if not model.tokenizer.decode([id], skip_special_tokens=True).strip()]
    barred = [*silent, *range(known, ids)]
    views = [1 + row % 2 for row in range(count)]

    def written(rows: Sequence[int]) -> list[str]:
        films = [studies[row].film for row in rows for _ in range(views[row])]
        counts = torch.tensor([views[row] for row in rows])
        batch = batch_of([studies[row] for row in rows])._replace(
            images=torch.stack(films),
            study_of_view=torch.repeat_interleave(torch.arange(len(rows)), counts),
            projections=["frontal"] * len(films),
        )
        found = network.generate(on(batch, network.device), max_new_tokens=new_tokens, suppress_tokens=barred)
        return [report.text for report in found]

    together = written(range(count))
    assert all(together), "an empty text is the same as any other"
    return sum(written([row]) == [text] for row, text in enumerate(together)) / count
