"""The training step of stage 2 against the published one: ``python -m benchmarks.stage2 [--quick] [--gpu]``.

ours       :class:`ReportNetwork` as it trains: batches of like length padded to their longest report, logits where
           there is a target alone, retrieval that projects no pattern, stage 1 without a graph.
published  the step as the paper and its released code describe it, written here: reports padded to ``max_length``,
           logits at every position and the loss of transformers, the public hflayers layer
           (github.com/ml-jku/hopfield-layers, installed or on PYTHONPATH) over both memories with the patterns expanded
           over the batch, and stage 1 inside the autograd graph, its gradients computed and used by no one: both sides
           train the same parameters (projections, marks, both retrievals, LoRA). Neither has its stage 1 trained.

Sizes are those of the ``small`` overlays (224-px films, batch 8); the language model has SmolLM2-135M's shape and
random float32 weights. Memories: 7,014 regions (14 of them disease queries) and 6,000 reports of width 768. Reports
have as many tokens as SmolLM2's tokenizer makes of IU X-Ray's: mean 51, half below 47, nine of ten below 77 (32, 30 and
51 words). A window of 16 batches is sorted by length, as training does, and a few of them, evenly spread, are measured;
the published side reads the same studies shuffled. With equal weights and without dropout the sides' losses and
gradients are compared before anything is timed. The rows between the two switch one ingredient alone. Studies/s are of
medians over interleaved rounds; memory is that of one step of the longest batch in a process of its own: above where it
stood after a step of one study, and the whole process's peak.

``small`` associates in 64 dimensions a head; one table has the published 1024 on both sides. ``--gpu`` adds
:mod:`benchmarks.stage2_gpu`. Prints a table, then one JSON line; about half an hour on two cores.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
import yaml
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch import Tensor, nn

from ammrg.commands.parser import CommandParser
from ammrg.findings import NUM_FINDINGS
from ammrg.memory.bank import BankMeta, MemoryBank
from ammrg.networks.disease_classifier import DiseaseClassifier
from ammrg.networks.hopfield import HopfieldRetrieval
from ammrg.networks.language_model import LanguageModel
from ammrg.networks.report_network import ReportNetwork
from ammrg.networks.visual_prompt import VisualPrompt
from ammrg.text.prompts import INSTRUCTION
from ammrg.types import Retrieval, StudyBatch
from benchmarks.agreement import check_gaps, gap
from benchmarks.hopfield import peer_layer, resident_mib
from benchmarks.mining import draw_films
from datamodules.sources.phantom.plan import plan_study
from datamodules.sources.phantom.sentences import write_report
from experiments.language_models.tokenizer import train_tokenizer

CONFIGS = Path(__file__).parent.parent / "experiments" / "configs"
REGIONS, REPORTS, REPORT_WIDTH = 7014, 6000, 768
SMOLLM2 = {
    "vocab_size": 49_152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}
TINY = {
    "vocab_size": 1024,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
VOCABULARY = 760
"""Of the tokenizer: it cuts as evenly (tokens a character) as SmolLM2's own cuts IU X-Ray's reports."""
MEDIAN_TOKENS, SPREAD, TOKENS_OF_A_WORD = 46.5, 0.387, 1.30
"""Log-normal lengths of reports: half below 47 tokens, 5% above 88 and 1% above 117, as IU X-Ray's with SmolLM2's."""
WINDOW = 16
"""Batches that are sorted by length together."""
PUBLISHED_ASSOCIATION = 1024
Ingredients = frozenset[str]
INGREDIENTS = {
    "shuffled": "batches of any lengths",
    "padded": "padded to max_length",
    "everywhere": "logits at every position",
    "hflayers": "hflayers over expanded patterns",
    "graph": "stage 1 in the graph",
}
"""Of the published step, and in ours."""
ALL: Ingredients = frozenset(INGREDIENTS)


# Data and networks, alike for both sides -----------------------------------------------------------------------


class Study(NamedTuple):
    """One frontal film and its report."""

    study_id: str
    film: Tensor
    """uint8 ``[1 h w]``."""
    report: str


def draw_studies(count: int) -> list[Study]:
    """Films of smooth noise, and sentences of the phantom's reports up to a length drawn as IU X-Ray's."""
    sentences = [write_report(plan_study("train", index)).findings for index in range(400)]
    words = " ".join(sentences).split()
    generator = torch.Generator().manual_seed(2)
    tokens = MEDIAN_TOKENS * (SPREAD * torch.randn(count, generator=generator)).exp()
    lengths = (tokens / TOKENS_OF_A_WORD).round().clamp(min=4).long()
    starts = torch.randint(len(words), (count,), generator=generator)
    films = draw_films(count, 1)[0]
    return [
        Study(f"s{place}", film, " ".join((words + words)[start : start + length]))
        for place, (film, start, length) in enumerate(zip(films, starts.tolist(), lengths.tolist(), strict=True))
    ]


def batch_of(studies: Sequence[Study]) -> StudyBatch:
    return StudyBatch(
        images=torch.stack([study.film for study in studies]),
        study_of_view=torch.arange(len(studies)),
        labels=torch.zeros(len(studies), NUM_FINDINGS),
        reports=[study.report for study in studies],
        study_ids=[study.study_id for study in studies],
        subject_ids=[f"p{study.study_id}" for study in studies],
        projections=["frontal"] * len(studies),
        boxes=[],
    )


def draw_batches(size: int, count: int) -> tuple[list[StudyBatch], list[StudyBatch]]:
    """(sorted, shuffled): the same studies in ``count`` batches; the sorted ones are every so many of a window's."""
    studies = sorted(draw_studies(size * WINDOW), key=lambda study: len(study.report))
    places = [(2 * turn + 1) * WINDOW // (2 * count) for turn in range(count)]
    alike = [studies[place * size : (place + 1) * size] for place in places]
    chosen = [study for batch in alike for study in batch]
    order = torch.randperm(len(chosen), generator=torch.Generator().manual_seed(3)).tolist()
    mixed = [[chosen[place] for place in order[start : start + size]] for start in range(0, len(order), size)]
    return [batch_of(batch) for batch in alike], [batch_of(batch) for batch in mixed]


def draw_bank(kind: str, n: int, width: int) -> MemoryBank:
    """Random patterns of training studies ``s0`` .. and, among regions, the 14 disease queries."""
    regions = kind == "regions"
    owned = n - NUM_FINDINGS if regions else n
    ids = [f"s{row}" for row in range(owned)]
    return MemoryBank(
        patterns=torch.randn(n, width, generator=torch.Generator().manual_seed(n)),
        study_ids=(*((name,) for name in ids), *[()] * (n - owned)),
        subject_ids=(*((f"p{name}",) for name in ids), *[()] * (n - owned)),
        findings=torch.arange(n) % NUM_FINDINGS if regions else torch.full((n,), -1),
        boxes=torch.full((n, 4), torch.nan),
        views=torch.zeros(n, dtype=torch.int64),
        texts=("",) * n,
        scores=torch.ones(n),
        meta=BankMeta(
            kind="regions" if regions else "reports",
            encoder_fingerprint="random",
            data_fingerprint="random",
            split="train",
            seed=0,
            selection="random",
            restricted=False,
        ),
    )


def overlay(stage: str) -> dict[str, Any]:
    """The model's arguments in the ``small`` overlay of a stage."""
    return cast(dict[str, Any], yaml.safe_load((CONFIGS / stage / "small.yaml").read_text())["model"]["init_args"])


def batch_size() -> int:
    """Of the ``small`` overlay."""
    return int(yaml.safe_load((CONFIGS / "stage2" / "small.yaml").read_text())["data"]["init_args"]["batch_size"])


def save_llama(folder: Path, shape: Mapping[str, Any], device: str = "cpu") -> None:
    """A Llama of random bfloat16 weights and a tokenizer of phantom reports, as a local Hugging Face folder."""
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    texts = [write_report(plan_study("train", index)).findings for index in range(400)]
    tokenizer = train_tokenizer([*texts, INSTRUCTION], VOCABULARY)
    special = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    torch.manual_seed(0)
    with torch.device(device):
        model = LlamaForCausalLM._from_config(LlamaConfig(**shape, **special), dtype=torch.bfloat16)
    model.generation_config = GenerationConfig(**special)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


class Sizes(NamedTuple):
    """What a run is made of."""

    regions: int = REGIONS
    reports: int = REPORTS
    association: int | None = None
    """None: as in the overlay."""
    memories: bool = True


def build(
    language_model: LanguageModel, sizes: Sizes, ingredients: Ingredients = frozenset(), dropout: bool = True
) -> ReportNetwork:
    """A generator around this language model. The same sizes give the same weights, whatever the ingredients."""
    torch.manual_seed(0)
    stage1, stage2 = overlay("stage1"), overlay("stage2")
    network = dict(stage2["network"])
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
    """The public layer in the place of ours: stored patterns expanded over the batch, projected for each study."""

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


# The steps -----------------------------------------------------------------------------------------------------


def plain_loss(
    language_model: LanguageModel, shown: VisualPrompt, reports: Sequence[str], limit: int, ingredients: Ingredients
) -> Tensor:
    """Mean cross entropy of the report tokens and ends as the public code computes it: every prompt embedded anew,
    reports cut at ``limit`` tokens and padded on the right, ``labels`` of -100 where there is no target."""
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
    """One training step: loss, gradients, clipping, AdamW. Without ingredients it is ours, with all the published."""

    def __init__(self, network: ReportNetwork, ingredients: Ingredients = frozenset()) -> None:
        self.network, self.ingredients = network.train(), ingredients
        network.classifier.eval()  # stage 1 is trained on neither side, and reads as it was tested
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
        """Seconds."""
        start = time.perf_counter()
        self.network.zero_grad(set_to_none=True)
        self.loss(batch).backward()
        nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        return time.perf_counter() - start


def agreement(language_model: LanguageModel, peer: bool) -> dict[str, float]:
    """Of ours with one ingredient, and with all: the greatest difference of the loss and of a gradient from ours,
    relative to the loss and to the largest gradient. Gradients of the retrievals, whose parameters are laid out in
    another way there, are left out with hflayers; what flows on through them is compared."""
    batch = batch_of([study._replace(report=cut(study.report)) for study in draw_studies(4)])
    batch = batch._replace(study_ids=list("abcd"), subject_ids=list("abcd"))
    sizes, worst = Sizes(regions=300, reports=200), {}
    sets = [frozenset[str](), *(frozenset({name}) for name in INGREDIENTS if name != "shuffled"), ALL]
    found: dict[Ingredients, tuple[float, dict[str, Tensor]]] = {}
    for ingredients in (each if peer else each - {"hflayers"} for each in sets):
        step = Step(build(language_model, sizes, ingredients, dropout=False), ingredients)
        loss = step.loss(batch)
        loss.backward()
        trained = set(step.trained)
        gradients = {name: p.grad for name, p in step.network.named_parameters() if p in trained and p.grad is not None}
        found[ingredients] = (float(loss.detach()), gradients)
        step.network.zero_grad(set_to_none=True)
    loss_of_ours, ours = found.pop(frozenset())
    for ingredients, (loss, gradients) in found.items():
        shared = [name for name in ours if name in gradients]
        flat = (torch.cat([side[name].flatten() for name in shared]) for side in (gradients, ours))
        worst[named(ingredients)] = max(gap(torch.tensor(loss), torch.tensor(loss_of_ours)), gap(*flat))
    return worst


def cut(report: str, words: int = 30) -> str:
    """So short that neither side cuts it: ours would at a sentence end, the public code at a token."""
    return " ".join(report.split()[:words])


def named(ingredients: Ingredients) -> str:
    """How a row is called."""
    if len(ingredients) > 1:
        return "published"
    return next((INGREDIENTS[name] for name in ingredients), "ours")


# Measuring -----------------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """One row of a table."""

    table: str
    """Rows of one table are measured in turn and compared."""
    sizes: Sizes
    ingredients: Ingredients
    dtype: str = "float32"

    @property
    def name(self) -> str:
        return named(self.ingredients)


def rows_of(sizes: Sizes, peer: bool, bf16: bool) -> list[Row]:
    """All rows; those of hflayers only where it is at hand."""
    alone = [frozenset[str](), *(frozenset({name}) for name in INGREDIENTS), ALL]
    aside, wide = sizes._replace(memories=False), sizes._replace(association=PUBLISHED_ASSOCIATION)
    rows = [Row("whole", sizes, each) for each in alone]
    rows += [Row("memories aside", aside, each) for each in (frozenset[str](), ALL - {"hflayers"})]
    rows += [Row("published association space", wide, each) for each in (frozenset[str](), ALL)]
    if bf16:
        rows += [Row("whole, bfloat16", sizes, each, "bfloat16") for each in (frozenset[str](), ALL)]
    return [row for row in rows if peer or "hflayers" not in row.ingredients]


def load(folder: Path, dtype: str) -> LanguageModel:
    return LanguageModel(str(folder), "none", dtype, overlay("stage2")["lora"], device="cpu")


def batches_of(row: Row, batches: tuple[list[StudyBatch], list[StudyBatch]]) -> list[StudyBatch]:
    return batches[1] if "shuffled" in row.ingredients else batches[0]


def timed(
    rows: Sequence[Row],
    language_model: LanguageModel,
    batches: tuple[list[StudyBatch], list[StudyBatch]],
    rounds: int,
    advance: Callable[[], None],
) -> list[dict[str, Any]]:
    """Studies/s of the rows of one table, in turn, so that a busy moment of the machine meets all alike."""
    steps = [Step(build(language_model, row.sizes, row.ingredients), row.ingredients) for row in rows]
    seconds: list[list[list[float]]] = [[[] for _ in batches[0]] for _ in rows]
    for turn in range(rounds + 1):
        for place in range(len(batches[0]) if turn else 1):
            for row, step, taken in zip(rows, steps, seconds, strict=True):
                took = step(batches_of(row, batches)[place])
                if turn:  # what comes before warms up
                    taken[place].append(took)
                    advance()
    size = len(batches[0][0].study_ids)
    cases = []
    for row, step, taken in zip(rows, steps, seconds, strict=True):
        medians = [statistics.median(each) for each in taken]
        cases.append(
            {
                "table": row.table,
                "row": row.name,
                "ingredients": sorted(row.ingredients),
                "batch": size,
                "regions": row.sizes.regions if row.sizes.memories else 0,
                "reports": row.sizes.reports if row.sizes.memories else 0,
                "association": row.sizes.association or overlay("stage2")["network"]["hopfield"]["association_width"],
                "dtype": row.dtype,
                "trained": sum(p.numel() for p in step.trained),
                "step_s": medians,
                "studies_per_s": size * len(medians) / sum(medians),
            }
        )
    for case in cases:
        case["ratio"] = cases[0]["studies_per_s"] / case["studies_per_s"]
    return cases


def memory_of(row: Row, folder: Path, size: int, count: int) -> dict[str, float | None]:
    """MiB of a step in a fresh process; see :func:`grown`."""
    asked = {"row": [row.table, row.sizes, sorted(row.ingredients), row.dtype], "size": size, "count": count}
    command = [sys.executable, "-m", "benchmarks.stage2", "--memory-of", json.dumps({**asked, "folder": str(folder)})]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{row.table}, {row.name}: {done.stderr[-2000:]}")
    return cast(dict[str, float | None], json.loads(done.stdout.splitlines()[-1]))


def grown(row: Row, folder: Path, size: int, count: int) -> dict[str, float | None]:
    """By how much a step of the longest batch raises this process's peak above where it stands after a step of one
    study (``step_mib``), and that peak itself (``process_mib``: with libraries, weights, memories and optimizer);
    None where the system cannot tell."""
    step = Step(build(load(folder, row.dtype), row.sizes, row.ingredients), row.ingredients)
    batch = max(batches_of(row, draw_batches(size, count)), key=lambda each: max(map(len, each.reports)))
    step(batch_of(draw_studies(1)))
    step.network.zero_grad(set_to_none=True)
    gc.collect()
    refs = Path("/proc/self/clear_refs")
    if not refs.exists():
        return {"step_mib": None, "process_mib": None}
    ctypes.CDLL(None).malloc_trim(0)
    refs.write_text("5")  # the peak starts again from here
    before = resident_mib("VmRSS")
    step(batch)
    return {"step_mib": resident_mib("VmHWM") - before, "process_mib": resident_mib("VmHWM")}


def same_texts(network: ReportNetwork, count: int, new_tokens: int) -> float:
    """Share of studies (one film and two in turn, so that prompts differ in length) that get the same text alone and
    in a batch of ``count``; of random weights, so ids that write nothing, the end among them, are barred."""
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


def on(batch: StudyBatch, device: torch.device) -> StudyBatch:
    """The batch with its films on a device."""
    return batch._replace(images=batch.images.to(device), study_of_view=batch.study_of_view.to(device))


# The command ---------------------------------------------------------------------------------------------------


def targets(cases: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What was promised and what was found; nothing of a table without the published step."""
    tables: dict[str, dict[str, dict[str, Any]]] = {}
    for case in cases:
        tables.setdefault(case["table"], {})[case["row"]] = case
    found: dict[str, tuple[float, float, bool]] = {}
    for table, least in (("whole", 6.0), ("published association space", 6.0), ("memories aside", 1.5)):
        rows = tables.get(table, {})
        if "published" not in rows:
            continue
        ours, published = rows["ours"], rows["published"]
        found[f"{table}: studies/s of ours over the published step's"] = (published["ratio"], least, True)
        for key, what in (("step_mib", "a step's memory"), ("process_mib", "the process's peak memory")):
            if table != "memories aside" and ours.get(key) and published.get(key):
                found[f"{table}: {what}, ours over the published step's"] = (ours[key] / published[key], 0.5, False)
    return {
        claim: {"value": value, "target": target, "met": value >= target if more else value <= target}
        for claim, (value, target, more) in found.items()
    }


def show(title: str, cases: Sequence[dict[str, Any]]) -> Table:
    table = Table(title=f"{title}, batch {cases[0]['batch']}", title_justify="left")
    for head in ("row", "s a step", "studies/s", "ours is x", "step MiB", "process MiB"):
        table.add_column(head, justify="left" if head == "row" else "right")
    for case in cases:
        step, process = (case.get(key) for key in ("step_mib", "process_mib"))
        table.add_row(
            case["row"] if case["row"] in ("ours", "published") else f"ours, {case['row']}",
            f"{statistics.mean(case['step_s']):.2f}",
            f"{case['studies_per_s']:.2f}",
            f"{case['ratio']:.2f}",
            "-" if step is None else f"{step:,.0f}",
            "-" if process is None else f"{process:,.0f}",
        )
    return table


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = CommandParser(prog="python -m benchmarks.stage2", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batches", type=int, default=3, help="of a window of 16 (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds (default %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a tiny language model, small memories: does it run?")
    parser.add_argument("--gpu", action="store_true", help="then the 7B-class part, where there is a GPU")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # bars of milliseconds
    if arguments.memory_of:
        asked = json.loads(arguments.memory_of)
        table, sizes, ingredients, dtype = asked["row"]
        row = Row(table, Sizes(*sizes), frozenset(ingredients), dtype)
        print(json.dumps(grown(row, Path(asked["folder"]), asked["size"], asked["count"])))
        return 0
    result = compare(arguments.quick, arguments.batches, arguments.rounds, Console(width=100))
    if arguments.gpu:
        from benchmarks.stage2_gpu import measure  # it imports this file

        result["gpu"] = measure(Console(width=100))
    print(json.dumps(result))
    return 0


def compare(quick: bool, count: int, rounds: int, console: Console) -> dict[str, Any]:
    """The CPU part."""
    peer = importlib.util.find_spec("hflayers") is not None
    if not peer:
        console.print("hflayers is not here (install it or put it on PYTHONPATH): the rows with it are left out")
    # Without the instructions bf16 is emulated, tens of times slower.
    bf16 = torch.cpu._is_avx512_bf16_supported()
    if not bf16:
        console.print("this CPU has no bfloat16 instructions: its rows are left out")
    sizes, size = (Sizes(70, 60), 2) if quick else (Sizes(), batch_size())
    shape = SMOLLM2 | TINY if quick else SMOLLM2
    count, rounds = (1, 1) if quick else (count, rounds)
    rows = rows_of(sizes, peer, bf16)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_llama(folder, shape)
        gaps = agreement(load(folder, "float32"), peer)
        worst = check_gaps(gaps, 1e-3, "losses or gradients of our step and of the published one")
        console.print(f"losses and gradients agree to {worst:.0e}")
        batches = draw_batches(size, count)
        cases: list[dict[str, Any]] = []
        with Progress(console=console, transient=True) as progress:
            bar = progress.add_task("steps", total=len(rows) * (rounds * count + 1))
            for table in dict.fromkeys(row.table for row in rows):
                members = [row for row in rows if row.table == table]
                language_model = load(folder, members[0].dtype)
                found = timed(members, language_model, batches, rounds, lambda: progress.advance(bar))
                del language_model
                gc.collect()
                for row, case in zip(members, found, strict=True):
                    case |= memory_of(row, folder, size, count)
                    progress.advance(bar)
                console.print(show(table, found))
                cases += found
        shares = {
            dtype: same_texts(build(load(folder, dtype), sizes), size, 6 if quick else 40)
            for dtype in ("float32", "bfloat16")
        }
    for dtype, share in shares.items():
        console.print(f"{dtype}: {share:.0%} of the texts are the same alone and in a batch of {size}")
    return {
        "benchmark": "stage2",
        "cases": cases,
        "targets": {} if quick else targets(cases),
        "agreement": gaps,
        "same_text_alone_and_in_batch": shares,
        "machine": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "cpus": os.cpu_count(),
            "bf16_instructions": bf16,
            "system": platform.platform(),
        },
    }


if __name__ == "__main__":
    raise SystemExit(main())
