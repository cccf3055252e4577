"""Compares stage 1 with a plain reference network: ``python -m benchmarks.stage1 CKPT... --data data/iu_xray``.

The reference can be written in an afternoon. It is a half-width ResNet-18 (32/64/128/256, two basic blocks a stage)
trained from scratch, with 14 queries that attend once over its 49 tokens and one linear output each. It is trained with
binary cross entropy on known labels (uncertain ones are left out), AdamW at 1e-3 with a cosine by time, batch 32,
averaged weights (.99), and frontal films at 224 px with this project's augmentation. Training takes ``--minutes`` (8),
whatever the machine, once for each of ``--seeds``; the networks are saved in ``--references``.

``--against CKPT...`` compares with other stage-1 trainings instead. All networks then rate validation and test studies
(mean over a study's films), which none of them may have been trained on. The result is the AUROC of each finding,
as the mean over the checkpoints and over the references, because a single training depends on its seed as much as on
its method. It has 95% intervals over patients, and ours minus the reference's over the same resamples. ``--training``
rates the training studies too, without augmentation, in four times as long. Prints tables, then one JSON line.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import math
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
from benchmarks._result import print_result
from datamodules.loading import StudySampler
from datamodules.prepared import read_card
from datamodules.studies import StudyDataModule
from lightning_modules.stage1_checkpoint import Stage1, read_checkpoint, stage1_of
from lightning_modules.stage1_start import check_unseen

SIDE, WIDTH, BATCH = 224, 256, 32
LR, WEIGHT_DECAY, WARM_UP, AVERAGE = 1e-3, 0.05, 0.05, 0.99
FEWEST = (10, 20)
"""Least numbers of positives among the rated studies for a finding to be part of a mean."""
PARTS = {"validation": ("val",), "test": ("test",), "both": ("val", "test")}
"""Compared studies -> their splits."""
Network = Callable[[Tensor], Tensor]
"""uint8 films ``[v 1 h w]`` -> logits ``[v 14]``."""


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
def rate(name: str, networks: Sequence[Network], data: StudyDataModule, split: str) -> Rated:
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


def compare(name: str, ours: Rated, reference: Rated, console: Console) -> list[dict[str, Any]]:
    """Print a table; returns ours, reference and difference of each mean over findings with at least n positives."""
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
    means = []
    for least in FEWEST:
        kept = [i for i in range(NUM_FINDINGS) if positives[i] >= least]
        if not kept:
            continue
        rows = [values[:, kept].nanmean(1) for values in (first, second)]
        rows.append(rows[0] - rows[1])
        facts = {"studies": name, "number": len(ours.subjects), "least_positives": least, "findings": len(kept)}
        found = [with_interval(row.numpy()) for row in rows]
        means.append({**facts, **dict(zip(("ours", "reference", "difference"), found, strict=True))})
        table.add_row(f"[b]mean of {len(kept)}[/b]", f"≥ {least}", *(formatted(row) for row in rows))
    console.print(table)
    return means


def formatted(values: Tensor) -> str:
    found = with_interval(values.numpy())
    if found["value"] is None or found["low"] is None:
        return "-"
    return f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


def trainings(paths: Sequence[Path], data: StudyDataModule) -> list[Stage1]:
    """Stage 1 of each checkpoint, trained on none of the validation and test patients.

    Raises:
        SystemExit: a checkpoint does not record its patients.
        SettingsError: it was trained on some of these patients.
    """
    stages = []
    for path in paths:
        checkpoint = read_checkpoint(path)
        stages.append(stage1_of(checkpoint, path))
        seen = checkpoint.get("seen_patients")
        if seen is None:
            raise SystemExit(f"{path}: does not record the patients it was trained on, who may be those rated here")
        check_unseen(seen, data.held_out_patients(), str(path))
    return stages


def network_of(stage1: Stage1) -> Network:
    return lambda films: stage1.classifier(films).logits


def main(argv: list[str] | None = None) -> None:
    """See the module."""
    parser = CommandParser(prog="python -m benchmarks.stage1", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoints", type=Path, nargs="+", help="of stage 1 (best.ckpt), one a seed")
    parser.add_argument("--data", required=True, help="the prepared folder they were trained on")
    parser.add_argument("--against", type=Path, nargs="+", help="checkpoints to compare with, instead of references")
    parser.add_argument("--references", type=Path, default=Path("outputs/references"), help="their folder")
    parser.add_argument("--seeds", type=int, default=1, help="references to train (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=8.0, help="to train one (default: %(default)s)")
    parser.add_argument("--views", choices=("frontal", "all"), default="frontal", help="films that are rated")
    parser.add_argument("--training", action="store_true", help="rate the training studies too")
    arguments = parser.parse_args(argv)
    if arguments.seeds < 1 or not arguments.minutes > 0:
        parser.error("--seeds and --minutes must be above 0")
    torch.set_flush_denormal(True)  # as `fit` does, for the references too
    rated = StudyDataModule(arguments.data, SIDE, BATCH, BATCH, views=arguments.views)
    stages, others = (trainings(paths, rated) for paths in (arguments.checkpoints, arguments.against or []))
    sides = {stage1.image_size for stage1 in (*stages, *others)}
    if len(sides) > 1:
        raise SystemExit("the checkpoints were trained on films of different sizes; compare those of one size")
    rated = StudyDataModule(arguments.data, sides.pop(), BATCH, BATCH, views=arguments.views)
    rated.setup()
    splits = ("val", "test", "train") if arguments.training else ("val", "test")
    mine = {split: rate("ours", [network_of(stage1) for stage1 in stages], rated, split) for split in splits}
    references = [network_of(stage1) for stage1 in others]
    if not references:
        references = [reference(arguments, seed) for seed in range(arguments.seeds)]
        rated = films(arguments.data, 0)
    theirs = {split: rate("reference", references, rated, split) for split in splits}
    console = Console(width=150)
    parts = {**PARTS, "training": ("train",)} if arguments.training else PARTS
    cases = [
        case
        for part, names in parts.items()
        for case in compare(part, joined([mine[s] for s in names]), joined([theirs[s] for s in names]), console)
    ]
    low = next((case["difference"]["low"] for case in cases if case["studies"] == "both"), None)
    facts = {
        "ours": len(stages),
        "reference": len(references),
        "against": "other trainings" if others else "plain references",
        "torch": torch.__version__,
    }
    print_result("stage1", cases, {"ours above the reference, lower end": (low or 0.0, 0.0)}, facts)


if __name__ == "__main__":
    main()
