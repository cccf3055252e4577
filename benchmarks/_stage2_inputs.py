"""Studies, memories and a language model, the same for both sides of :mod:`benchmarks.stage2`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
import yaml
from torch import Tensor

from ammrg.findings import NUM_FINDINGS
from ammrg.memory.bank import BankMeta, MemoryBank
from ammrg.text.prompts import INSTRUCTION
from ammrg.types import StudyBatch
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
"""Size of the tokenizer's vocabulary: with it a report takes as many tokens as IU X-Ray's do with SmolLM2's own."""
MEDIAN_TOKENS, SPREAD, TOKENS_OF_A_WORD = 46.5, 0.387, 1.30
"""Log-normal lengths of reports: half below 47 tokens, 5% above 88 and 1% above 117, as IU X-Ray's with SmolLM2's."""
WINDOW = 16
"""Number of batches that are sorted by length together."""


class Study(NamedTuple):
    """One frontal film and its report."""

    study_id: str
    film: Tensor
    """uint8 ``[1 h w]``."""
    report: str


def draw_studies(count: int) -> list[Study]:
    """Films of smooth noise with phantom sentences, up to lengths that are distributed as IU X-Ray's."""
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
    """The same studies in ``count`` batches twice: sorted by length, as in training, and shuffled.

    The sorted batches are evenly spaced in a window of :data:`WINDOW` batches.
    """
    studies = sorted(draw_studies(size * WINDOW), key=lambda study: len(study.report))
    places = [(2 * turn + 1) * WINDOW // (2 * count) for turn in range(count)]
    alike = [studies[place * size : (place + 1) * size] for place in places]
    chosen = [study for batch in alike for study in batch]
    order = torch.randperm(len(chosen), generator=torch.Generator().manual_seed(3)).tolist()
    mixed = [[chosen[place] for place in order[start : start + size]] for start in range(0, len(order), size)]
    return [batch_of(batch) for batch in alike], [batch_of(batch) for batch in mixed]


def draw_bank(kind: str, n: int, width: int) -> MemoryBank:
    """Random patterns of training studies ``s0``, ``s1``, ...; a region bank also has the 14 disease queries."""
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


ENCODER = {
    "config": {
        "model_type": "resnet",
        "num_channels": 1,
        "embedding_size": 32,
        "hidden_sizes": [32, 64, 128, 256],
        "depths": [2, 2, 2, 2],
        "layer_type": "basic",
    }
}
"""A half-width ResNet-18: random weights, where ``small`` has pretrained ones that a benchmark must not fetch."""


def overlay(stage: str) -> dict[str, Any]:
    """The model's arguments in a stage's ``small`` overlay, for stage 1 with :data:`ENCODER`."""
    found = cast(dict[str, Any], yaml.safe_load((CONFIGS / stage / "small.yaml").read_text())["model"]["init_args"])
    return {**found, "encoder": ENCODER} if stage == "stage1" else found


def batch_size() -> int:
    """Number of studies of a batch in the ``small`` overlay."""
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


def on(batch: StudyBatch, device: torch.device) -> StudyBatch:
    """The batch with its films on a device."""
    return batch._replace(images=batch.images.to(device), study_of_view=batch.study_of_view.to(device))
