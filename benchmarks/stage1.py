"""Compares stage 1 with a plain reference network: ``python -m benchmarks.stage1 CKPT... --data data/iu_xray``.

The reference can be written in an afternoon. It is a half-width ResNet-18 (32/64/128/256, two basic blocks a stage)
trained from scratch, with 14 queries that attend once over its 49 tokens and one linear output each. It is trained with
binary cross entropy on known labels (uncertain ones are left out), AdamW at 1e-3 with a cosine by time, batch 32,
averaged weights (.99), and frontal films at 224 px with this project's augmentation. Training takes ``--minutes`` (8),
whatever the machine, once for each of ``--seeds``; the networks are saved in ``--references``.

All networks then rate validation and test studies (mean over a study's films). The result is the AUROC of each finding,
as the mean over the checkpoints and over the references, because a single training depends on its seed as much as on
its method. It has 95% intervals over patients, and ours minus the reference's over the same resamples. AUROC on the
training studies, without augmentation, is printed too. Prints tables, then one JSON line.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import math
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ammrg.commands.parser import CommandParser
from ammrg.findings import FINDINGS, NUM_FINDINGS
from ammrg.metrics.bootstrap import with_interval
from ammrg.metrics.classification import auroc, patient_weights
from ammrg.networks.disease_classifier import log_odds, study_logits
from ammrg.networks.finding_loss import finding_loss, prevalence, training_targets
from ammrg.networks.visual_encoder import VisualEncoder
from ammrg.types import StudyBatch
from datamodules.loading import StudySampler
from datamodules.prepared import read_card
from datamodules.studies import StudyDataModule
from lightning_modules.stage1_checkpoint import load_stage1

SIDE, WIDTH, BATCH = 224, 256, 32
LR, WEIGHT_DECAY, WARM_UP, AVERAGE = 1e-3, 0.05, 0.05, 0.99
FEWEST = (10, 20)
"""Least numbers of positives among the rated studies for a finding to be part of a mean."""
PARTS = {"validation": ("val",), "test": ("test",), "both": ("val", "test")}


class Reference(nn.Module):
    """The reference network: ResNet tokens, one attention with 14 queries over them, and one output for each query."""

    def __init__(self) -> None:
        super().__init__()
        sizes = {"embedding_size": 32, "hidden_sizes": [32, 64, 128, WIDTH], "depths": [2, 2, 2, 2]}
        self.encoder = VisualEncoder(config={"model_type": "resnet", "num_channels": 1, "layer_type": "basic", **sizes})
        self.queries = nn.Parameter(torch.randn(NUM_FINDINGS, WIDTH) * 0.02)
        self.keys = nn.Linear(WIDTH, WIDTH)
        self.weight = nn.Parameter(torch.randn(NUM_FINDINGS, WIDTH) * WIDTH**-0.5)
        self.bias = nn.Parameter(torch.zeros(NUM_FINDINGS))

    def forward(self, films: Tensor) -> Tensor:
        """uint8 ``[v 1 h w]`` -> logits ``[v 14]``."""
        tokens, _ = self.encoder(films)
        attention = (torch.einsum("iq,vnq->vin", self.queries, self.keys(tokens)) * WIDTH**-0.5).softmax(-1)
        return torch.einsum("vin,vnq,iq->vi", attention, tokens, self.weight) + self.bias


def train_reference(data: StudyDataModule, seconds: float, seed: int) -> Reference:
    """Train a reference for a given time, not for a given number of steps."""
    torch.manual_seed(seed)
    network = Reference()
    network.bias.data.copy_(log_odds(prevalence(torch.as_tensor(data.training_labels()))))
    groups = [
        {"params": [p for p in network.parameters() if (p.ndim > 1) is matrices], "weight_decay": decay}
        for matrices, decay in ((True, WEIGHT_DECAY), (False, 0.0))
    ]
    optimizer = torch.optim.AdamW(groups, lr=LR)
    averaged = copy.deepcopy(network).eval()
    start, done, step, seen = time.perf_counter(), 0.0, 0, 0
    loader = data.train_dataloader()
    for epoch in itertools.count():
        cast(StudySampler, loader.sampler).set_epoch(epoch)
        for batch in loader:
            done = (time.perf_counter() - start) / seconds
            if done >= 1:
                print(f"reference {seed}: {step} steps, {seen:,} films, {seconds / 60:.1f} min")
                return averaged
            warm = min(1.0, done / WARM_UP)
            cosine = 0.5 * (1 + math.cos(math.pi * max(0.0, done - WARM_UP) / (1 - WARM_UP)))
            for group in optimizer.param_groups:
                group["lr"] = LR * warm * max(0.01, cosine)
            network.train()
            logits = study_logits(network(batch.images), batch.study_of_view, len(batch.labels), "mean")
            loss = finding_loss(logits, *training_targets(batch.labels, study_ids=batch.study_ids))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            step, seen = step + 1, seen + len(batch.images)
            decay = min(AVERAGE, (1 + step) / (10 + step))
            with torch.no_grad():
                for mean, now in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
                    mean.lerp_(now, 1 - decay) if mean.is_floating_point() else mean.copy_(now)
    raise AssertionError("the clock ends the training")


def films(folder: str, seed: int) -> StudyDataModule:
    """The films that the reference is trained on and rates."""
    data = StudyDataModule(folder, SIDE, BATCH, BATCH, views="frontal", labelled_only=True, seed=seed)
    data.setup()
    return data


def reference(options: argparse.Namespace, seed: int) -> Reference:
    """The saved reference of a seed; if there is none, it is trained now."""
    path: Path = options.references / f"{seed}.safetensors"
    made_by = {"data": read_card(options.data)["fingerprint"], "minutes": f"{options.minutes:g}", "seed": str(seed)}
    if not path.exists():
        weights = train_reference(films(options.data, seed), 60 * options.minutes, seed).state_dict()
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: weight.contiguous() for name, weight in weights.items()}, path, metadata=made_by)
    with safe_open(path, "pt") as kept:
        if kept.metadata() != made_by:
            raise SystemExit(f"{path}: was made by {kept.metadata()}, not by {made_by}; name another --references")
    network = Reference().eval()
    network.load_state_dict(load_file(path))
    return network


class Rated(NamedTuple):
    """Studies with the logits of several networks."""

    logits: Tensor
    """``[k n 14]``: of k networks and n studies."""
    labels: Tensor
    studies: list[str]
    subjects: list[str]


@torch.no_grad()
def rate(name: str, networks: Sequence[Callable[[Tensor], Tensor]], data: StudyDataModule, split: str) -> Rated:
    """Rate every study of a split by the mean over its films."""
    loader = data.evaluation_loader(split)
    logits: list[Tensor] = []
    batches: list[StudyBatch] = []
    for batch in track(loader, f"{name}: {split}"):
        of_films = [network(batch.images).float() for network in networks]
        rows = (study_logits(each, batch.study_of_view, len(batch.labels), "mean") for each in of_films)
        logits.append(torch.stack(list(rows)))
        batches.append(batch._replace(images=batch.images[:0]))
    studies = [study for batch in batches for study in batch.study_ids]
    subjects = [subject for batch in batches for subject in batch.subject_ids]
    return Rated(torch.cat(logits, dim=1), torch.cat([batch.labels for batch in batches]), studies, subjects)


def areas(rated: Rated, weights: Tensor) -> tuple[Tensor, list[int]]:
    """AUROC under every row of weights ``[r 14]``, mean over the networks, and the number of positives by finding."""
    targets, mask = training_targets(rated.labels)
    columns, positives = [], []
    for finding in range(NUM_FINDINGS):
        known = mask[:, finding].bool()
        positives.append(int(targets[known, finding].sum()))
        every = [auroc(row[known, finding], targets[known, finding], weights[:, known]) for row in rated.logits]
        columns.append(torch.stack(every).mean(dim=0))
    return torch.stack(columns, dim=1), positives


def joined(parts: list[Rated]) -> Rated:
    return Rated(
        torch.cat([part.logits for part in parts], dim=1),
        torch.cat([part.labels for part in parts]),
        [study for part in parts for study in part.studies],
        [subject for part in parts for subject in part.subjects],
    )


def compare(name: str, ours: Rated, reference: Rated, console: Console) -> dict[str, Any]:
    """Print a table; returns {mean over findings with at least n positives: ours, reference and difference}."""
    if ours.studies != reference.studies:
        raise SystemExit(f"{name}: the two networks rated different studies, or rated them in a different order.")
    keys = {subject: i for i, subject in enumerate(dict.fromkeys(ours.subjects))}
    weights = patient_weights(torch.tensor([keys[subject] for subject in ours.subjects]), 1000)
    (first, positives), (second, _) = areas(ours, weights), areas(reference, weights)
    table = Table(title=f"AUROC, {name} ({len(ours.subjects)} studies)")
    for column in ("finding", "positives", "ours", "reference", "ours - reference"):
        table.add_column(column, justify="left" if column == "finding" else "right")
    for finding in sorted(range(NUM_FINDINGS), key=lambda i: -positives[i]):
        cells = (formatted(values[:, finding]) for values in (first, second, first - second))
        table.add_row(FINDINGS[finding], str(positives[finding]), *cells)
    means = {}
    for least in FEWEST:
        kept = [i for i in range(NUM_FINDINGS) if positives[i] >= least]
        if not kept:
            continue
        rows = [values[:, kept].nanmean(1) for values in (first, second)]
        means[f"at least {least} positives"] = {
            "findings": len(kept),
            "ours": with_interval(rows[0].numpy()),
            "reference": with_interval(rows[1].numpy()),
            "difference": with_interval((rows[0] - rows[1]).numpy()),
        }
        cells = (formatted(values) for values in (*rows, rows[0] - rows[1]))
        table.add_row(f"[b]mean of {len(kept)}[/b]", f"≥ {least}", *cells)
    console.print(table)
    return means


def formatted(values: Tensor) -> str:
    found = with_interval(values.numpy())
    if found["value"] is None or found["low"] is None:
        return "-"
    return f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


def main(argv: list[str] | None = None) -> None:
    """See the module."""
    parser = CommandParser(prog="python -m benchmarks.stage1", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoints", type=Path, nargs="+", help="of stage 1 (best.ckpt), one a seed")
    parser.add_argument("--data", required=True, help="the prepared folder they were trained on")
    parser.add_argument("--references", type=Path, default=Path("outputs/references"), help="their folder")
    parser.add_argument("--seeds", type=int, default=1, help="references to train (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=8.0, help="to train one (default: %(default)s)")
    parser.add_argument("--views", choices=("frontal", "all"), default="frontal", help="films that are rated")
    arguments = parser.parse_args(argv)
    if arguments.seeds < 1 or not arguments.minutes > 0:
        parser.error("--seeds and --minutes must be above 0")
    stages = [load_stage1(path) for path in arguments.checkpoints]
    if len({stage1.image_size for stage1 in stages}) > 1:
        raise SystemExit("the checkpoints were trained on films of different sizes; compare those of one size")
    rated = StudyDataModule(arguments.data, stages[0].image_size, BATCH, BATCH, views=arguments.views)
    rated.setup()
    for path, stage1 in zip(arguments.checkpoints, stages, strict=True):
        if stage1.data_fingerprint != rated.card["fingerprint"]:
            raise SystemExit(f"{path}: was trained on other data than {arguments.data}, and may know its films")
    references = [reference(arguments, seed) for seed in range(arguments.seeds)]
    splits = ("val", "test", "train")
    ours = [lambda films, network=stage1.classifier: network(films).logits for stage1 in stages]
    mine = {split: rate("ours", ours, rated, split) for split in splits}
    frontal = films(arguments.data, 0)
    theirs = {split: rate("reference", references, frontal, split) for split in splits}
    console = Console(width=150)
    result = {
        part: compare(part, joined([mine[s] for s in names]), joined([theirs[s] for s in names]), console)
        for part, names in {**PARTS, "train": ("train",)}.items()
    }
    both = result["both"].get("at least 10 positives", {}).get("difference", {})
    target = {"ours above the reference, lower end": {"value": both.get("low"), "target": 0.0}}
    target["ours above the reference, lower end"]["met"] = (both.get("low") or 0.0) > 0
    machine = {"cpus": os.cpu_count(), "torch": torch.__version__, "system": platform.platform()}
    print(json.dumps({"benchmark": "stage1", "cases": result, "targets": target, "machine": machine}))


if __name__ == "__main__":
    main()
