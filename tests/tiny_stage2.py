"""Stage 2 in miniature: a real classifier, language model and banks, tiny and random."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from transformers import LlamaConfig, LlamaForCausalLM

from ammrg.findings import FINDINGS
from ammrg.memory.bank import BankMeta, MemoryBank
from ammrg.networks.disease_classifier import DiseaseClassifier
from ammrg.networks.language_model import LanguageModel
from ammrg.networks.quantization import Quantization
from ammrg.networks.report_network import ReportNetwork
from ammrg.types import StudyBatch
from experiments.language_models.tokenizer import train_tokenizer
from tests.tiny_encoder import ENCODER

QFORMER = {"width": 32, "layers": 1, "heads": 2, "dropout": 0.0}
HOPFIELD = {"association_width": 8, "heads": 2, "dropout": 0.0}
REPORTS = ["The heart is large.", "No effusion.", "The lungs are clear."]
STUDIES = ("s0", "s1", "s2")


def write_llm(path: Path) -> Path:
    """A folder with a language model and its tokenizer."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=320, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2
    )
    LlamaForCausalLM(config).save_pretrained(path)
    train_tokenizer([*REPORTS, *FINDINGS], 300).save_pretrained(path)
    return path


def bank(kind: str, width: int, studies: tuple[str, ...] = STUDIES, seed: int = 5) -> MemoryBank:
    """Two patterns a study; a region bank ends with one disease query, which nobody owns."""
    owners = [(study,) for study in studies for _ in range(2)] + ([()] if kind == "regions" else [])
    n, regions = len(owners), kind == "regions"
    boxes = torch.tensor([0.1, 0.2, 0.5, 0.6]).repeat(n, 1) if regions else torch.full((n, 4), torch.nan)
    if regions:
        boxes[-1] = torch.nan
    meta = {"encoder_fingerprint": "e", "data_fingerprint": "d", "split": "train", "seed": 0, "selection": "random"}
    return MemoryBank(
        patterns=torch.randn(n, width, generator=torch.Generator().manual_seed(seed)),
        study_ids=tuple(owners),
        subject_ids=tuple(tuple(f"p{study}" for study in row) for row in owners),
        findings=torch.arange(n) % 13 if regions else torch.full((n,), -1),
        boxes=boxes,
        views=torch.zeros(n, dtype=torch.int64),
        texts=("",) * n if regions else tuple(f"report {i}" for i in range(n)),
        scores=torch.ones(n),
        meta=BankMeta(kind="regions" if regions else "reports", restricted=False, **meta),
    )


def build(
    folder: Path,
    seed: int = 0,
    lora: dict[str, Any] | None = None,
    gradient_checkpointing: bool = False,
    quantization: Quantization = "nf4",
    **settings: Any,
) -> ReportNetwork:
    torch.manual_seed(seed)
    classifier = settings.pop("classifier", None) or DiseaseClassifier(ENCODER, QFORMER)
    language_model = LanguageModel(
        str(folder), quantization, device="cpu", lora=lora, gradient_checkpointing=gradient_checkpointing
    )
    banks = settings.pop("banks", (bank("regions", 32), bank("reports", 24)))
    return ReportNetwork(classifier, language_model, *banks, hopfield=HOPFIELD, max_report_tokens=30, **settings)


def copying(folder: Path, pattern: int) -> ReportNetwork:
    """A network whose report is the text of the pattern that it recalls, which is always the same one.

    The language model is trained to write the text of each report pattern after its token alone.
    """
    texts = (*REPORTS, "Edema on the left.", "A tube is seen.", "The bones are normal.")
    memory = replace(bank("reports", 24), texts=texts)
    torch.manual_seed(0)
    language_model = LanguageModel(str(folder), quantization="none", device="cpu")
    network = ReportNetwork(
        DiseaseClassifier(ENCODER, QFORMER),
        language_model,
        None,
        memory,
        hopfield=HOPFIELD,
        image_tokens=False,
        query_tokens=False,
        visual_memory=False,
        max_report_tokens=30,
    )
    language_model.model.requires_grad_(True)
    retrieval, stored = network.retrievals["report"], network.report_patterns
    states, each_alone = torch.zeros(len(memory), 14, network.classifier.width), torch.eye(len(memory)).bool()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(60):
        tokens = network.streams["report"](retrieval(states, stored, each_alone, k=0).tokens)
        optimizer.zero_grad()
        language_model.loss(list(tokens), texts, network.instruction).backward()
        optimizer.step()
    with torch.no_grad():  # every state asks for this pattern, whatever the film
        keys = retrieval.key_weight @ (retrieval.key_scale * F.layer_norm(stored[pattern], (24,)))
        retrieval.query_weight.zero_()
        retrieval.query_bias.copy_(8 * F.normalize(keys, dim=-1) / keys.norm(dim=-1, keepdim=True))
    return network.requires_grad_(False).eval()


def with_partners(studies: StudyBatch, films_seed: int = 8) -> StudyBatch:
    """Each study with a partner of two films, somebody else's, whose report is that of the study before it."""
    count = len(studies.study_ids)
    shape = (2 * count, 1, *studies.images.shape[2:])
    partner = StudyBatch(
        images=torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(films_seed), dtype=torch.uint8),
        study_of_view=torch.arange(count).repeat_interleave(2),
        labels=torch.zeros(count, 14),
        reports=[studies.reports[row - 1] for row in range(count)],
        study_ids=[f"o{row}" for row in range(count)],
        subject_ids=[f"po{row}" for row in range(count)],
        projections=["frontal", "lateral"] * count,
        boxes=[],
    )
    return studies._replace(partner=partner)


def batch(studies: tuple[str, ...] = STUDIES) -> StudyBatch:
    """Studies with one, two and one films."""
    films = torch.randint(0, 256, (4, 1, 48, 48), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
    return StudyBatch(
        images=films,
        study_of_view=torch.tensor([0, 1, 1, 2]),
        labels=torch.zeros(3, 14),
        reports=REPORTS,
        study_ids=list(studies),
        subject_ids=[f"p{study}" for study in studies],
        projections=["frontal", "frontal", "lateral", "unknown"],
        boxes=[],
    )
