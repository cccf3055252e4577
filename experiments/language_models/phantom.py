"""The phantom's own language model: a small Llama, trained from scratch on the training reports."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ammrg.atomic import write_json
from ammrg.errors import DataError, SettingsError
from experiments.language_models.new_folder import new_folder
from experiments.language_models.tokenizer import CONTEXT, train_tokenizer
from experiments.language_models.transplants import Transplants
from experiments.language_models.turns import EXCERPTS, conversation, findings_turn

if TYPE_CHECKING:
    from torch import Tensor, nn


class Size(NamedTuple):
    """Size and training length of the model. Widths are multiples of 64, the block size of 4-bit quantisation."""

    hidden: int
    layers: int
    heads: int
    intermediate: int
    vocabulary: int
    steps: int
    batch: int


_TINY = Size(hidden=128, layers=4, heads=4, intermediate=384, vocabulary=1000, steps=3600, batch=8)
SIZES = {
    "nano": Size(hidden=64, layers=2, heads=2, intermediate=128, vocabulary=600, steps=60, batch=16),
    "tiny": _TINY,
    "real": _TINY._replace(batch=16),
}
"""``real`` reads twice as many texts as ``tiny``: real reports are more varied than the phantom's."""
FINDING_WEIGHT = 4.0
"""Weight in the training loss of a token in a sentence that names a finding; other tokens weigh 1.

These few tokens are the ones that depend on the user's turn.
"""
PLACE_WEIGHT = 12.0
"""Weight of a token in a word of place in such a sentence."""
EXCERPTS_FIRST = 0.5
"""Share of the steps, at first, whose conversations are all about excerpts."""
TRANSPLANTED = 0.5
"""Share of the training texts into which a finding of another report is put (:class:`Transplants`)."""
HELD_OUT = 0.05
"""Share of the training reports that the model is not trained on, for the perplexity in ``training.json``."""


class Example(NamedTuple):
    """One conversation as token ids."""

    prompt: list[int]
    report: list[int]
    """The report, with EOS."""
    weights: list[float]
    """Weight of each report token in the training loss; see :data:`FINDING_WEIGHT`."""


def _example(turn: str, report: str, tokenizer: Any) -> Example:
    from ammrg.text.abnormal_spans import abnormal_spans
    from ammrg.text.places import place_spans

    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": turn}], tokenize=False, add_generation_prompt=True
    )
    encoded = tokenizer(report, add_special_tokens=False, return_offsets_mapping=True)
    weights = [1.0] * len(encoded["input_ids"])
    for spans, weight in ((abnormal_spans(report), FINDING_WEIGHT), (place_spans(report), PLACE_WEIGHT)):
        for start, stop in spans:
            for token, (begin, end) in enumerate(encoded["offset_mapping"]):
                if begin < stop and end > start:
                    weights[token] = weight
    return Example(
        tokenizer.encode(prompt, add_special_tokens=False),
        [*encoded["input_ids"], tokenizer.eos_token_id],
        [*weights, 1.0],
    )


def batch_loss(model: nn.Module, examples: Sequence[Example]) -> Tensor:
    """Cross entropy of every report token of a batch, EOS included: float32 ``[tokens]`` in nats, unreduced."""
    import torch
    from torch.nn import functional as F
    from torch.nn.utils.rnn import pad_sequence

    rows = [torch.tensor(example.prompt + example.report[:-1]) for example in examples]
    lengths = torch.tensor([len(row) for row in rows])
    prompts = torch.tensor([len(example.prompt) for example in examples])
    place = torch.arange(int(lengths.max()))
    mask = place < lengths[:, None]
    logits = model(
        input_ids=pad_sequence(rows, batch_first=True),
        attention_mask=mask.long(),
        logits_to_keep=mask & (place >= prompts[:, None] - 1),
        use_cache=False,
    ).logits
    targets = torch.tensor([token for example in examples for token in example.report])
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets, reduction="none")


def perplexity(model: nn.Module, examples: Sequence[Example], batch: int = 32) -> float:
    """Perplexity: the exponential of the mean cross entropy over all report tokens."""
    import torch

    model.eval()
    with torch.no_grad():
        losses = [batch_loss(model, examples[start : start + batch]) for start in range(0, len(examples), batch)]
    return math.exp(float(torch.cat(losses).mean()))


def train_phantom(data: Path, out: Path, size: str = "tiny", seed: int = 0) -> Path:
    """Train a BPE tokenizer and a small Llama on the training reports, and write them as a Hugging Face folder.

    ``training.json`` holds seed, data fingerprint, training loss, and on held-out training reports the perplexity, with
    and without the findings in the user's turn, and :func:`ammrg.networks.told.told_scores`.

    Args:
        data: prepared folder.
        out: folder to write.
        size: a key of :data:`SIZES`.
        seed: of the split, the weights, the order and the user's turns.

    Returns:
        ``out``.

    Raises:
        DataError: there are no prepared data in ``data``, or fewer than two training reports.
        SettingsError: there is no such size.
    """
    from ammrg.networks.language_model import LanguageModel
    from ammrg.networks.told import TOLD, told_scores
    from ammrg.text.prompts import INSTRUCTION
    from datamodules.prepared import load_split, read_card

    if size not in SIZES:
        raise SettingsError(f"size: found '{size}', must be one of {', '.join(SIZES)}")
    reports = [text.strip() for text in load_split(data, "train")["report"] if text.strip()]
    if len(reports) < 2:
        raise DataError(f"{data}: {len(reports)} training reports, too few; prepare the data again")
    card = {"data": read_card(data)["fingerprint"], "seed": seed, "size": size, **SIZES[size]._asdict()}
    card["transplanted"] = TRANSPLANTED
    with new_folder(Path(out)) as folder:
        count = len(reports)
        random.Random(seed).shuffle(reports)
        held_out = [reports.pop() for _ in range(max(1, round(HELD_OUT * count)))]
        model, tokenizer, measured = _train(reports, held_out, SIZES[size], seed, INSTRUCTION)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        told = told_scores(LanguageModel(str(folder), quantization="none", device="cpu"), held_out, TOLD)
        write_json(folder / "training.json", {**card, "reports": count, **measured, **told})
    return Path(out)


def train_and_print(data: Path, out: Path, size: str, seed: int) -> None:
    """Train the model as :func:`train_phantom` does, and print its loss and perplexity."""
    from datamodules.prepared import read_card

    read_card(data)  # missing data are an error before seconds of imports
    from transformers.utils.logging import disable_progress_bar

    from ammrg.networks.told import told_in_words

    disable_progress_bar()  # saving, too, has a bar that lasts milliseconds; the training shows its own
    folder = train_phantom(data, out, size, seed)
    card = json.loads((folder / "training.json").read_text())
    print(
        f"{folder}: loss {card['train_loss']:.3f}, perplexity {card['perplexity']:.2f} "
        f"({card['perplexity_findings_told']:.2f} with the findings in the prompt)"
    )
    print(told_in_words(card))


def _train(
    reports: list[str], held_out: list[str], size: Size, seed: int, instruction: str
) -> tuple[Any, Any, dict[str, float]]:
    import torch
    from rich.progress import Progress

    rng = random.Random(seed)
    turns = [findings_turn(report, instruction, rng) for report in reports]
    tokenizer = train_tokenizer([*reports, *turns], size.vocabulary)
    transplants = Transplants(reports)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _llama(size, tokenizer)
        optimizers = _optimizers(model)
        warmup = max(1, size.steps // 20)
        schedules = [
            torch.optim.lr_scheduler.LambdaLR(
                optimizer,
                lambda step: min((step + 1) / warmup, 0.02 + 0.98 * (1 + math.cos(math.pi * step / size.steps)) / 2),
            )
            for optimizer in optimizers
        ]
        model.train()
        recent: list[float] = []
        batches = _batches(reports, size.batch, rng)
        with Progress() as progress:
            bar = progress.add_task("language model", total=size.steps)
            for step in range(size.steps):
                excerpts = 1.0 if step < EXCERPTS_FIRST * size.steps else EXCERPTS
                texts = [transplants.into(text, rng) if rng.random() < TRANSPLANTED else text for text in next(batches)]
                talks = [conversation(text, instruction, rng, excerpts) for text in texts]
                examples = [_example(*talk, tokenizer) for talk in talks]
                weights = torch.tensor([weight for example in examples for weight in example.weights])
                losses = batch_loss(model, examples)
                loss = (losses * weights).sum() / weights.sum()
                model.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                for part in (*optimizers, *schedules):
                    part.step()
                recent = [*recent[-19:], float(losses.detach().mean())]
                progress.update(bar, advance=1, description=f"language model, loss {sum(recent) / len(recent):.3f}")
    with_findings = [_example(findings_turn(text, instruction, rng), text, tokenizer) for text in held_out]
    measured = {
        "train_loss": sum(recent) / len(recent),
        "perplexity": perplexity(model, [_example(instruction, text, tokenizer) for text in held_out]),
        "perplexity_findings_told": perplexity(model, with_findings),
    }
    return model, tokenizer, {name: round(value, 4) for name, value in measured.items()}


def _optimizers(model: nn.Module) -> list[Any]:
    """Muon (Jordan et al. 2024) for the matrices of the layers, AdamW for embeddings and norms.

    With AdamW alone, the model needs about twice as many steps before it copies what the user's turn says.
    """
    import torch

    from experiments.language_models.muon import Muon

    named = list(model.named_parameters())
    matrices = [parameter for name, parameter in named if parameter.ndim == 2 and "embed" not in name]
    others = [parameter for name, parameter in named if parameter.ndim != 2 or "embed" in name]
    return [
        Muon(matrices, lr=0.02, weight_decay=0.1),
        torch.optim.AdamW(others, lr=3e-3, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def _llama(size: Size, tokenizer: Any) -> Any:
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    special = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=-(-len(tokenizer) // 64) * 64,
            hidden_size=size.hidden,
            intermediate_size=size.intermediate,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            **special,
        )
    )
    model.generation_config = GenerationConfig(**special)
    return model


def _batches(reports: Sequence[str], size: int, rng: random.Random) -> Iterator[list[str]]:
    """Yield batches without end; a batch holds reports of similar length, which need less padding."""
    while True:
        order = sorted(reports, key=lambda report: len(report) * rng.uniform(0.9, 1.1))
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        rng.shuffle(batches)
        yield from batches
