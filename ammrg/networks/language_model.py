"""The language model: any causal LM of transformers, frozen and usually in 4 bits, that reads visual tokens.

The prompt is the tokenizer's own chat template with one user turn, which holds the visual tokens (as embeddings) and
then the instruction; the assistant turn is the report. Nothing is assumed about token ids, and neither the embedding
nor the head is ever resized or trained.

The file is long because losses and writing share one frozen model, its tokenizer and the embedding of prompts.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from ammrg.errors import SettingsError
from ammrg.networks.chat_prompt import end_of_turn, prompt_ids, stop_ids, token_ids
from ammrg.networks.decoding import check_decoding, repetition_penalty
from ammrg.networks.evaluating import evaluating
from ammrg.networks.language_model_files import (
    commit_of,
    compute_dtype_of,
    files_fingerprint,
    load_model,
    load_tokenizer,
)
from ammrg.networks.lora import add_lora
from ammrg.networks.quantization import Quantization, prevent_repacking
from ammrg.networks.seeded_sampling import seeded_sampling
from ammrg.networks.state_dicts import load_strictly, save_only
from ammrg.networks.unpacked import read_packed, read_unpacked, train_unpacked, weight_form
from ammrg.networks.word_stream import OnText, WordStream

SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


class TargetLosses(NamedTuple):
    """Next-token cross entropy of every target token of a batch."""

    values: Tensor
    """float32 ``[m]``: one value for each report token, report after report."""
    report_of_token: Tensor
    """int64 ``[m]``, ascending: the batch row of each value's report."""
    emphasised: Tensor
    """bool ``[m]``: True for tokens in a span that the caller emphasised."""
    placed: Tensor
    """bool ``[m]``: True for tokens in a span that the caller named a place."""


Spans = Callable[[str], Sequence[tuple[int, int]]]
"""A text -> spans (start, stop) of its characters."""


def _overlapping(places: Sequence[tuple[int, int]], count: int, spans: Sequence[tuple[int, int]]) -> Tensor:
    """Which of ``count`` tokens overlap one of the spans, bool ``[count]``; a token without a place does not."""
    marked = torch.zeros(count, dtype=torch.bool)
    for token, (start, stop) in enumerate(places[:count]):
        marked[token] = any(start < last and stop > first for first, last in spans)
    return marked


class LanguageModel(nn.Module):
    """A frozen causal LM with optional LoRA.

    Args:
        name: a local Hugging Face folder or a model id of the hub.
        quantization: ``nf4`` or ``fp4`` (4 bits, double quantisation), ``int8``, or ``none``, by bitsandbytes.
            Embedding, norms and head keep ``compute_dtype``.
        compute_dtype: ``float32``, ``bfloat16`` or ``float16``; default: float32 on a CPU and bfloat16 on CUDA.
        lora: ``{"rank": 8, "alpha": 16, "dropout": 0.0, "targets": ["q_proj", ...]}``; every field is optional, and
            without ``targets`` every linear layer except the head is adapted. Adapters are in float32. None: no
            adapters.
        revision: commit, branch or tag, for a hub id.
        device: where the weights are loaded; default: the current CUDA device where there is one, else the CPU.
        gradient_checkpointing: in training, keep only each layer's input and compute its other activations again in the
            backward pass: a third more time, but only one layer's activations in memory. Gradients stay the same.

    Raises:
        SettingsError: the model, its tokenizer or some of its weights are missing, the tokenizer has ids beyond the
            embedding, LoRA targets match no layer, or the device cannot run the quantisation.
    """

    def __init__(
        self,
        name: str,
        quantization: Quantization = "nf4",
        compute_dtype: str | None = None,
        lora: Mapping[str, Any] | None = None,
        revision: str | None = None,
        device: str | None = None,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = {
            "quantization": quantization,
            "compute_dtype": compute_dtype,
            "lora": dict(lora) if lora else None,
        }
        """The settings that, with name and revision, build it again."""
        self.name = str(name)
        self.quantization = quantization
        self.revision = revision
        where = torch.device(device or (f"cuda:{torch.cuda.current_device()}" if torch.cuda.is_available() else "cpu"))
        self.compute_dtype = compute_dtype_of(compute_dtype, where)
        self.tokenizer = load_tokenizer(self.name, revision)
        self.model = load_model(self.name, revision, quantization, self.compute_dtype, where)
        self.model.requires_grad_(False)
        prevent_repacking(self.model)
        self.width = int(self.model.get_input_embeddings().weight.shape[1])
        self._check_vocabulary()
        self.stop_ids = stop_ids(self.tokenizer, self.model.generation_config, self.name)
        self.end_id = end_of_turn(self.tokenizer, self.stop_ids)
        self.pad_id = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else self.end_id
        self._use_own_decoding_defaults()
        self.lora = dict(lora) if lora else None
        if self.lora:
            add_lora(self.model, self.lora)
        self.model.train()  # a new module is in training mode; from_pretrained returns eval mode, except for adapters
        self.reports_cut = 0
        """Number of reports that were too long and were cut, since the model was built."""
        self._prompts: dict[tuple[str, torch.device], tuple[Tensor, Tensor]] = {}
        if gradient_checkpointing:
            # Embeddings need no gradient, but visual tokens do: only the non-reentrant form passes it on to these.
            self.model.activation_checkpointing_enable({"use_reentrant": False})
        save_only(self, lambda key: "lora_" in key)
        # Merged matrices would be those of the weights before.
        self.register_load_state_dict_pre_hook(lambda *_: self.read_packed())  # type: ignore[no-untyped-call]

    def train(self, mode: bool = True) -> LanguageModel:
        """Set training mode, which ends reading with merged matrices."""
        if mode:
            self.read_packed()
        super().train(mode)
        return self

    def train_unpacked(self) -> int:
        """Train faster where there is memory for it: :func:`ammrg.networks.unpacked.train_unpacked`."""
        return train_unpacked(self.model, self.compute_dtype)

    def read_unpacked(self) -> int:
        """Read and write faster where nothing is trained any more: :func:`ammrg.networks.unpacked.read_unpacked`."""
        return read_unpacked(self.model, self.compute_dtype)

    def read_packed(self) -> None:
        """Read with the weights that are trained again."""
        read_packed(self.model)

    @contextmanager
    def reading_unpacked(self) -> Iterator[None]:
        """Inside, read and write as after :meth:`read_unpacked`; the weights must not change meanwhile."""
        self.read_unpacked()
        try:
            yield
        finally:
            self.read_packed()

    # What it is ------------------------------------------------------------------------------------------------

    @property
    def identity(self) -> dict[str, str | None]:
        """Name, revision, quantisation and fingerprint of the files, which a checkpoint stores instead of weights."""
        return {
            "name": self.name,
            "revision": self.revision,
            "quantization": self.quantization,
            "fingerprint": files_fingerprint(self.name) or commit_of(self.name, self.revision),
        }

    @property
    def weight_form(self) -> str:
        """How its weights are held now, in words: :func:`ammrg.networks.unpacked.weight_form`."""
        return weight_form(self.model, self.quantization, self.compute_dtype)

    @property
    def device(self) -> torch.device:
        """The device of the model's weights."""
        device: torch.device = self.model.get_input_embeddings().weight.device
        return device

    @property
    def context(self) -> int:
        """The most tokens that the model reads, prompt and report together."""
        return int(getattr(self.model.config, "max_position_embeddings", None) or 1 << 20)

    def _check_vocabulary(self) -> None:
        rows = self.model.get_input_embeddings().weight.shape[0]
        largest = max(self.tokenizer.get_vocab().values())
        if largest >= rows:
            raise SettingsError(
                f"{self.name}: the tokenizer has token id {largest}, but the embedding only {rows} rows. Tokenizer and "
                "weights are from different models; put the tokenizer that belongs to the weights beside them."
            )

    def _use_own_decoding_defaults(self) -> None:
        """Drop the model's own decoding settings (temperature, penalties), so that only the caller's apply."""
        from transformers import GenerationConfig

        self.model.generation_config = GenerationConfig(
            bos_token_id=self.tokenizer.bos_token_id, eos_token_id=self.stop_ids, pad_token_id=self.pad_id
        )

    # Prompt and embeddings -------------------------------------------------------------------------------------

    def embed(self, ids: Tensor) -> Tensor:
        """Embed token ids, int64 ``[... t]`` -> ``[... t d]``, as the model's first layer reads them."""
        vectors: Tensor = self.model.get_input_embeddings()(ids.to(self.device))
        return vectors

    def embedding_scale(self) -> float:
        """Return the root mean square of the vocabulary's embeddings: visual tokens of this size read like words."""
        sample = torch.arange(0, max(self.tokenizer.get_vocab().values()) + 1, device=self.device)[:4096]
        return float(self.embed(sample).float().square().mean().sqrt())

    def prompt_parts(self, instruction: str) -> tuple[list[int], list[int]]:
        """Return the token ids before and after the visual tokens, up to the beginning of the report."""
        return prompt_ids(self.tokenizer, instruction, self.name)

    def _prompt(self, instruction: str) -> tuple[Tensor, Tensor]:
        """Return the embeddings ``[t d]`` before and after the visual tokens; they are kept for repeated prompts."""
        key = (instruction, self.device)
        if key not in self._prompts:
            if len(self._prompts) >= 64:
                self._prompts.clear()
            # A tensor made under inference mode could not take part in a later backward pass: so leave that mode.
            with torch.inference_mode(False), torch.no_grad():
                before, after = (
                    self.embed(torch.tensor(ids, dtype=torch.long)) for ids in self.prompt_parts(instruction)
                )
            self._prompts[key] = (before, after)
        return self._prompts[key]

    def _rows(self, visual: Sequence[Tensor], instruction: str | Sequence[str]) -> list[Tensor]:
        """Make the whole prompt of each study as embeddings ``[p_i d]``."""
        instructions = [instruction] * len(visual) if isinstance(instruction, str) else list(instruction)
        if len(instructions) != len(visual):
            raise ValueError(f"{len(instructions)} instructions for {len(visual)} studies")
        rows = []
        for tokens, words in zip(visual, instructions, strict=True):
            if tokens.ndim != 2 or tokens.shape[1] != self.width:
                raise ValueError(
                    f"visual tokens are {tuple(tokens.shape)}, but the language model reads [m {self.width}]"
                )
            before, after = self._prompt(words)
            rows.append(torch.cat([before, tokens.to(before), after]))
        return rows

    # Training --------------------------------------------------------------------------------------------------

    def fitting_report(self, report: str, limit: int) -> tuple[str, list[int]]:
        """Cut a report to at most ``limit`` tokens, as the target of training.

        A longer report is cut after the last sentence that fits, and counted in :attr:`reports_cut`. Where not even its
        first sentence fits, it is cut inside this sentence and gets no end token.

        Returns:
            (text, token ids with the end token).
        """
        ids = token_ids(self.tokenizer, report)
        if len(ids) < limit:
            return report, [*ids, self.end_id]
        self.reports_cut += 1
        sentences = SENTENCE_END.split(report)
        for kept in range(len(sentences) - 1, 0, -1):
            text = " ".join(sentences[:kept])
            ids = token_ids(self.tokenizer, text)
            if len(ids) < limit:
                return text, [*ids, self.end_id]
        return sentences[0], ids[:limit]

    def _tokenized(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Return a text's token ids, and the (start, stop) of each token in its characters."""
        if not self.tokenizer.is_fast:
            raise SettingsError(
                f"{self.name}: this tokenizer does not give the places of its tokens in a text, so no part of a "
                "report can be emphasised; use its fast form (tokenizer.json)"
            )
        found = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        return found["input_ids"], found["offset_mapping"]

    def _marked(self, text: str, ids: Sequence[int], spans: Sequence[tuple[int, int]]) -> Tensor:
        """Find the tokens that overlap one of the spans of a report's characters, bool ``[t]``; never the end token."""
        return _overlapping(self._tokenized(text)[1], len(ids), spans) if spans else torch.zeros(len(ids)).bool()

    def targets(
        self, report: str, limit: int, emphasis: Spans | None = None, places: Spans | None = None
    ) -> tuple[list[int], Tensor, Tensor]:
        """Return the target tokens of a report (:meth:`fitting_report`), and which of them are emphasised or placed."""
        text, ids = self.fitting_report(report, limit)
        emphasised, placed = (self._marked(text, ids, spans(text) if spans else ()) for spans in (emphasis, places))
        return ids, emphasised, placed

    def target_losses(
        self,
        visual: Sequence[Tensor],
        reports: Sequence[str],
        instruction: str | Sequence[str],
        max_report_tokens: int | None = None,
        emphasis: Spans | None = None,
        places: Spans | None = None,
    ) -> TargetLosses:
        """Compute the cross entropy of every report token and end token, given the prompt and the tokens before it.

        Rows are padded on the right to the longest of the batch. Logits are computed only for targets.

        Args:
            visual: b tensors ``[m_i d]``.
            reports: b texts.
            instruction: one text for all studies, or b texts.
            max_report_tokens: longer reports are cut (see :meth:`fitting_report`).
            emphasis: spans whose tokens are marked as emphasised in the result.
            places: spans whose tokens are marked as placed.

        Raises:
            SettingsError: a prompt leaves no room for a report in the context.
        """
        rows, targets, marked, placed = [], [], [], []
        for prompt, report in zip(self._rows(visual, instruction), reports, strict=True):
            room = self.context - len(prompt)
            if room < 2:
                raise SettingsError(
                    f"{self.name} reads {self.context} tokens, but the prompt has {len(prompt)}; set pool_image_tokens"
                )
            ids, marks, where = self.targets(report, min(room, max_report_tokens or room), emphasis, places)
            rows.append(prompt)
            targets.append(ids)
            marked.append(marks)
            placed.append(where)
        return self._losses(rows, targets, marked, placed)

    def _losses(
        self,
        prompts: Sequence[Tensor],
        targets: Sequence[Sequence[int]],
        marked: Sequence[Tensor],
        placed: Sequence[Tensor],
        temperature: float = 1.0,
    ) -> TargetLosses:
        """Compute the cross entropy of target tokens ``[t_i]`` after prompts ``[p_i d]``, at a temperature."""
        ids = [torch.tensor(each, dtype=torch.long, device=self.device) for each in targets]
        # The last target is not an input.
        rows = [torch.cat([prompt, self.embed(each[:-1])]) for prompt, each in zip(prompts, ids, strict=True)]
        lengths = torch.tensor([len(row) for row in rows], device=self.device)
        counts = torch.tensor([len(each) for each in ids], device=self.device)
        place = torch.arange(int(lengths.max()), device=self.device)
        mask = place < lengths[:, None]
        wanted = mask & (place >= (lengths - counts)[:, None])  # [b t]: the next token is a target
        logits = self.model(
            inputs_embeds=pad_sequence(rows, batch_first=True),
            attention_mask=mask.long(),
            logits_to_keep=wanted,
            use_cache=False,
        ).logits
        logits = logits.reshape(-1, logits.shape[-1]).float() / temperature
        values = F.cross_entropy(logits, torch.cat(ids), reduction="none")
        owners = torch.repeat_interleave(torch.arange(len(rows), device=self.device), counts)
        return TargetLosses(values, owners, torch.cat([*marked]).to(self.device), torch.cat([*placed]).to(self.device))

    def sample_losses(
        self,
        visual: Sequence[Tensor],
        samples: Sequence[Sequence[int]],
        instruction: str | Sequence[str],
        *,
        temperature: float,
        emphasis: Spans,
        places: Spans,
    ) -> TargetLosses:
        """Compute the cross entropy of every token of samples, those of :meth:`sample`, as they were drawn.

        Args:
            visual: b tensors ``[m_i d]``.
            samples: the token ids of b samples.
            instruction: one text for all studies, or b texts.
            temperature: that of the samples.
            emphasis: spans whose tokens are marked as emphasised in the result.
            places: spans whose tokens are marked as placed.
        """
        marks = [self._sample_marks(ids, (emphasis, places)) for ids in samples]
        emphasised, placed = ([each[kind] for each in marks] for kind in range(2))
        return self._losses(self._rows(visual, instruction), samples, emphasised, placed, temperature)

    def _sample_marks(self, ids: Sequence[int], kinds: Sequence[Spans]) -> list[Tensor]:
        """Find the tokens of a sample that overlap each kind of spans, bool ``[t]``."""
        written = [token for token in ids if token not in self.stop_ids]
        text: str = self.tokenizer.decode(written, skip_special_tokens=True)
        found = [spans(text) for spans in kinds]
        if not any(found):
            return [torch.zeros(len(ids)).bool() for _ in kinds]
        tokens, where = self._tokenized(text)
        if tokens != written:  # it was drawn in other tokens than the tokenizer would choose
            ends = [len(self.tokenizer.decode(written[:n], skip_special_tokens=True)) for n in range(len(written) + 1)]
            where = list(itertools.pairwise(ends))
        return [_overlapping(where, len(ids), spans) for spans in found]

    def loss(
        self,
        visual: Sequence[Tensor],
        reports: Sequence[str],
        instruction: str | Sequence[str],
        max_report_tokens: int | None = None,
    ) -> Tensor:
        """Average :meth:`target_losses` over all target tokens of the batch."""
        return self.target_losses(visual, reports, instruction, max_report_tokens).values.mean()

    # Decoding --------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def generate(
        self,
        visual: Sequence[Tensor],
        instruction: str | Sequence[str],
        *,
        max_new_tokens: int,
        num_beams: int = 1,
        do_sample: bool = False,
        seeds: Sequence[int] | None = None,
        on_text: OnText | None = None,
        **decoding: Any,
    ) -> list[str]:
        """Generate one text for each study: greedy, by beam search, or sampled.

        Prompts are padded on the left, so a text depends on its batch only by rounding (in float32 on a CPU not at
        all). This holds for sampled texts too, because every study has its own seed.

        Args:
            visual: b tensors ``[m_i d]``.
            instruction: one text for all studies, or b texts.
            max_new_tokens: most tokens of a text.
            num_beams: above 1, the number of beams of a beam search.
            do_sample: sample, with ``temperature``, ``top_k``, ``top_p`` and ``min_p``.
            seeds: b seeds for sampling; default: 0, 1, ...
            on_text: for one study, called with its text so far after each word, and last with the whole text. A beam
                search knows its words only at the end, so it is then called once.
            decoding: further fields of transformers' GenerationConfig.

        Returns:
            b texts, without the end token.

        Raises:
            SettingsError: a prompt fills the context, or :func:`check_decoding` refuses the settings.
            ValueError: ``on_text`` for several studies.
        """
        if on_text is not None and len(visual) != 1:
            raise ValueError(f"on_text is for one study, but there are {len(visual)}")
        rows = self._rows(visual, instruction)
        self._longest(rows)
        check_decoding({"max_new_tokens": max_new_tokens, "num_beams": num_beams, "do_sample": do_sample, **decoding})
        decoding["num_beams"] = num_beams
        if on_text is not None and num_beams == 1:
            decoding["streamer"] = WordStream(self.text, on_text)
        drawn = (list(range(len(rows))) if seeds is None else list(seeds)) if do_sample else None
        # A long prompt leaves less room in the context, and min_length counts the prompt too. So rows may have
        # different limits: those with the same limits are generated together.
        shortest, whole = decoding.pop("min_new_tokens", None) or 0, decoding.pop("min_length", None) or 0
        limits = []
        for row in rows:
            most = min(max_new_tokens, self.context - len(row))
            limits.append((min(max(shortest, whole - len(row)), most), most))
        texts = [""] * len(rows)
        with evaluating(self.model):
            for least, most in sorted(set(limits)):
                alike = [place for place, own in enumerate(limits) if own == (least, most)]
                own_seeds = None if drawn is None else [drawn[place] for place in alike]
                written = self._write([rows[place] for place in alike], least, most, own_seeds, decoding)
                for place, text in zip(alike, written, strict=True):
                    texts[place] = text
        if on_text is not None:
            on_text(texts[0])
        return texts

    @torch.no_grad()
    def sample(
        self,
        visual: Sequence[Tensor],
        instruction: str | Sequence[str],
        *,
        max_new_tokens: int,
        seeds: Sequence[int],
        temperature: float = 1.0,
    ) -> list[list[int]]:
        """Draw one text for each prompt from the model's whole distribution, each with its own seed.

        Args:
            visual: b tensors ``[m_i d]``.
            instruction: one text for all studies, or b texts.
            max_new_tokens: most tokens of a text.
            seeds: b seeds.
            temperature: above 0.

        Returns:
            The token ids of each text, with its end token; a text that reached the most tokens has none.

        Raises:
            SettingsError: a prompt fills the context.
        """
        rows = self._rows(visual, instruction)
        most = min(max_new_tokens, self.context - self._longest(rows))
        with evaluating(self.model):
            drawn = self._ids(rows, 0, most, seeds, {"temperature": temperature})
        return [ids[: self._end(ids) + 1] for ids in drawn]

    def _longest(self, rows: Sequence[Tensor]) -> int:
        """The length of the longest prompt; raise a SettingsError if it leaves no room for a report."""
        longest = max(len(row) for row in rows)
        if longest >= self.context:
            raise SettingsError(
                f"{self.name} reads {self.context} tokens, but the prompt has {longest}; set pool_image_tokens"
            )
        return longest

    def _write(
        self, rows: Sequence[Tensor], least: int, most: int, seeds: Sequence[int] | None, decoding: Mapping[str, Any]
    ) -> list[str]:
        """Generate a text of ``least`` to ``most`` tokens after each prompt ``[p_i d]``; with seeds, sample it."""
        return [self.text(ids) for ids in self._ids(rows, least, most, seeds, decoding)]

    def _ids(
        self, rows: Sequence[Tensor], least: int, most: int, seeds: Sequence[int] | None, decoding: Mapping[str, Any]
    ) -> list[list[int]]:
        """Generate the token ids of :meth:`_write`, padded after the end token."""
        longest = max(len(row) for row in rows)
        padded = pad_sequence([row.flip(0) for row in rows], batch_first=True).flip(1)
        mask = torch.stack([torch.arange(longest, device=self.device) >= longest - len(row) for row in rows]).long()
        settings = {**decoding, **({"min_new_tokens": least} if least else {})}
        processors = repetition_penalty(settings)
        if seeds is not None:
            processors += seeded_sampling(seeds, settings)
        ids = self.model.generate(
            inputs_embeds=padded,
            attention_mask=mask,
            max_new_tokens=most,
            logits_processor=processors,
            do_sample=False,
            **settings,
        )
        written: list[list[int]] = ids.tolist()
        return written

    def _end(self, ids: Sequence[int]) -> int:
        """The place of the end token, or the number of tokens if there is none."""
        return next((place for place, token in enumerate(ids) if token in self.stop_ids), len(ids))

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of written tokens up to the end token, without white space at its ends."""
        text: str = self.tokenizer.decode(ids[: self._end(ids)], skip_special_tokens=True)
        return text.strip()

    # Checkpoints -----------------------------------------------------------------------------------------------

    def trained_state_dict(self) -> dict[str, Tensor]:
        """Return the LoRA weights; empty without LoRA. Frozen and quantised weights are never saved."""
        return dict(self.state_dict())

    def load_trained_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load saved LoRA weights.

        Raises:
            CheckpointError: a key is missing or unexpected.
        """
        load_strictly(self, state, f"language model {self.name}")
