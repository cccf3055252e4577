"""Measures the effect of masking shared reports for all their owners: ``python -m benchmarks.shared_reports``.

Several drawn studies often have the same impression. A retrieval over the training studies' impressions is trained to
predict the words of a study's report, once with ``patient`` (a text that another patient also has is not masked) and
once with ``shared`` (it is masked for all its owners); everything else is the same. The networks are simple stand-ins:
random states of the 14 findings around the study's labels replace film and stage 1, and a linear layer that predicts
which words the report has replaces the language model. So no figure is about real reports, but the mask is the real
one. Prints, for each rule and seed, the loss on test studies and how strongly a study recalls its own text when another
patient has it too. The last line is JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from ammrg.commands.parser import CommandParser
from ammrg.findings import NUM_FINDINGS
from ammrg.memory.owners import Exclude, OwnerIndex
from ammrg.networks.hopfield import HopfieldRetrieval
from datamodules.sources.phantom.plan import plan_study
from datamodules.sources.phantom.sentences import write_report

WIDTH, NOISE, BATCH = 32, 0.5, 50
RULES: tuple[Exclude, ...] = ("patient", "shared")


class Studies(NamedTuple):
    """n studies."""

    ids: list[str]
    subjects: list[str]
    texts: list[str]
    states: Tensor
    """float32 ``[n 14 WIDTH]``."""


def draw(split: str, count: int) -> Studies:
    """Drawn studies: their impressions, and states around their labels (blank counts as negative)."""
    plans = [plan_study(split, number) for number in range(count)]
    reports = [write_report(plan) for plan in plans]
    labels = torch.tensor([report.labels for report in reports]).nan_to_num()
    signs = torch.randn(NUM_FINDINGS, WIDTH, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(count, NUM_FINDINGS, WIDTH, generator=torch.Generator().manual_seed(len(split)))
    return Studies(
        [plan.study_id for plan in plans],
        [plan.subject_id for plan in plans],
        [report.impression for report in reports],
        labels[..., None] * signs + NOISE * noise,
    )


def words_of(texts: Sequence[str], known: Sequence[str]) -> Tensor:
    """Which of the known words each text has, float32 ``[n w]``."""
    said = [set(text.lower().replace(".", "").split()) for text in texts]
    return torch.tensor([[float(word in own) for word in known] for own in said])


def trial(train: Studies, test: Studies, rule: Exclude, seed: int, epochs: int) -> dict[str, Any]:
    """Train with one rule; test with the whole memory."""
    known = sorted({word for text in train.texts for word in text.lower().replace(".", "").split()})
    stored = list(dict.fromkeys(train.texts))
    row_of = {text: row for row, text in enumerate(stored)}
    owners: list[list[int]] = [[] for _ in stored]
    for number, text in enumerate(train.texts):
        owners[row_of[text]].append(number)
    index = OwnerIndex(*([[ids[i] for i in own] for own in owners] for ids in (train.ids, train.subjects)))
    patterns = words_of(stored, known)
    torch.manual_seed(seed)
    retrieval = HopfieldRetrieval(WIDTH, len(known), WIDTH, 16, heads=2)
    head = nn.Linear(NUM_FINDINGS * WIDTH, len(known))
    optimizer = torch.optim.AdamW([*retrieval.parameters(), *head.parameters()], lr=3e-3)

    said, asked = words_of(train.texts, known), words_of(test.texts, known)

    def loss_of(states: Tensor, words: Tensor, mask: Tensor | None) -> Tensor:
        found = retrieval(states, patterns, mask, k=0).tokens
        return F.binary_cross_entropy_with_logits(head(found.flatten(1)), words)

    masks = {name: index.mask(train.ids, train.subjects, name) for name in RULES}
    for _ in range(epochs):
        for rows in torch.randperm(len(train.ids)).split(BATCH):
            optimizer.zero_grad()
            loss_of(train.states[rows], said[rows], masks[rule][rows]).backward()
            optimizer.step()
    retrieval.eval()
    with torch.no_grad():
        result: dict[str, Any] = {
            "rule": rule,
            "seed": seed,
            "test_loss": float(loss_of(test.states, asked, None)),
        }
        for name, studies, mask in (("train", train, masks["patient"]), ("test", test, None)):
            rows = [i for i, text in enumerate(studies.texts) if text in row_of]
            own = torch.tensor([row_of[studies.texts[i]] for i in rows])
            if mask is not None:
                kept = mask[rows, own].nonzero().flatten()
                rows, own = [rows[i] for i in kept.tolist()], own[kept]
            found = retrieval.associations(studies.states[rows], patterns, None if mask is None else mask[rows])
            weights = found.mean(dim=(1, 2))
            result[f"{name}_share_of_another"] = len(rows) / len(studies.ids)
            result[f"{name}_weight_on_own_text"] = float(weights[torch.arange(len(rows)), own].mean())
            result[f"{name}_own_text_strongest"] = float((weights.argmax(1) == own).float().mean())
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = CommandParser(prog="python -m benchmarks.shared_reports", description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=400, help="training studies (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=40, help="default %(default)s")
    parser.add_argument("--seeds", type=int, default=2, help="default %(default)s")
    parser.add_argument("--quick", action="store_true", help="100 studies, one epoch, one seed: does it run?")
    options = parser.parse_args(argv)
    count, epochs, seeds = (100, 1, 1) if options.quick else (options.studies, options.epochs, options.seeds)
    train, test = draw("train", count), draw("test", count // 4)
    cases = [trial(train, test, rule, seed, epochs) for seed in range(seeds) for rule in RULES]
    table = Table(title=f"{count} training studies, {epochs} epochs")
    for column in cases[0]:
        table.add_column(column.replace("_", " "))
    for case in cases:
        table.add_row(*(f"{value:.4f}" if isinstance(value, float) else str(value) for value in case.values()))
    Console(width=160).print(table)
    print(json.dumps({"benchmark": "shared_reports", "cases": cases}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
