"""The language model: any causal LM of transformers, frozen and in 4 bits, steered through embeddings in its user turn.

The prompt is the tokenizer's own chat template with one user turn that holds the visual tokens and then the
instruction; the assistant turn is the report. Nothing is assumed about token ids, and neither the embedding nor the
head is ever resized or trained.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
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
from ammrg.networks.quantization import Quantization, cure_linear4bit
from ammrg.networks.seeded_sampling import seeded_sampling
from ammrg.networks.state_dicts import load_strictly, save_only

SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


class TargetLosses(NamedTuple):
    """Next-token cross entropy of every target token of a batch."""

    values: Tensor
    """float32 ``[m]``: one value a report token, report after report."""
    report_of_token: Tensor
    """int64 ``[m]``, ascending: the row of the batch each value belongs to."""
    emphasised: Tensor
    """bool ``[m]``: the token lies in a span that the caller emphasised."""


class LanguageModel(nn.Module):
    """A frozen causal LM with optional LoRA.

    Args:
        name: a local Hugging Face folder or a model id of the hub.
        quantization: ``nf4`` or ``fp4`` (4 bits, double quantisation), ``int8``, or ``none``, through bitsandbytes.
            Embedding, norms and head keep ``compute_dtype``.
        compute_dtype: ``float32``, ``bfloat16`` or ``float16``; default float32 on CPU and bfloat16 on CUDA.
        lora: ``{"rank": 8, "alpha": 16, "dropout": 0.0, "targets": ["q_proj", ...]}``; every field is optional, and
            without ``targets`` every linear layer but the head is adapted. ``None``: the model stays as it is. Adapters
            are held in float32.
        revision: commit, branch or tag of a hub id.
        device: where the weights are loaded; default the current CUDA device where there is one, else the CPU.
        gradient_checkpointing: while training, keep only each layer's input and compute the rest anew in the backward
            pass: a third more time, memory of one layer. Gradients stay the same.

    Raises:
        SettingsError: no such model, no tokenizer beside it, a tokenizer with ids beyond the embedding, weights that
            are missing from the folder, LoRA targets that match nothing, or a quantisation the device cannot run.
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
        """What builds it again, beside its name and revision."""
        self.name = str(name)
        self.quantization = quantization
        self.revision = revision
        where = torch.device(device or (f"cuda:{torch.cuda.current_device()}" if torch.cuda.is_available() else "cpu"))
        self.compute_dtype = compute_dtype_of(compute_dtype, where)
        self.tokenizer = load_tokenizer(self.name, revision)
        self.model = load_model(self.name, revision, quantization, self.compute_dtype, where)
        self.model.requires_grad_(False)
        cure_linear4bit(self.model)
        self.width = int(self.model.get_input_embeddings().weight.shape[1])
        self._check_vocabulary()
        self.stop_ids = stop_ids(self.tokenizer, self.model.generation_config, self.name)
        self.end_id = end_of_turn(self.tokenizer, self.stop_ids)
        self.pad_id = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else self.end_id
        self._use_own_decoding_defaults()
        self.lora = dict(lora) if lora else None
        if self.lora:
            add_lora(self.model, self.lora)
        self.model.train()  # as any new module; it comes in eval mode, its adapters' dropout does not
        self.reports_cut = 0
        """How many reports were too long and were cut at a sentence end since the model was built."""
        self._prompts: dict[tuple[str, torch.device], tuple[Tensor, Tensor]] = {}
        if gradient_checkpointing:
            # The frozen embeddings need no gradient: the non-reentrant form follows the visual tokens' all the same.
            self.model.activation_checkpointing_enable({"use_reentrant": False})
        save_only(self, lambda key: "lora_" in key)

    # What it is ------------------------------------------------------------------------------------------------

    @property
    def identity(self) -> dict[str, str | None]:
        """Name, revision, quantisation and a fingerprint of the files: what a checkpoint says instead of weights."""
        return {
            "name": self.name,
            "revision": self.revision,
            "quantization": self.quantization,
            "fingerprint": files_fingerprint(self.name) or commit_of(self.name, self.revision),
        }

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        device: torch.device = self.model.get_input_embeddings().weight.device
        return device

    @property
    def context(self) -> int:
        """How many tokens the model reads at most, prompt and report together."""
        return int(getattr(self.model.config, "max_position_embeddings", None) or 1 << 20)

    def _check_vocabulary(self) -> None:
        rows = self.model.get_input_embeddings().weight.shape[0]
        largest = max(self.tokenizer.get_vocab().values())
        if largest >= rows:
            raise SettingsError(
                f"{self.name}: the tokenizer has token id {largest}, the embedding only {rows} rows. Tokenizer and "
                "weights are of different models; put the tokenizer that belongs to the weights beside them."
            )

    def _use_own_decoding_defaults(self) -> None:
        """Drop the model's own sampling settings (temperature, penalties): decoding is what the caller says."""
        from transformers import GenerationConfig

        self.model.generation_config = GenerationConfig(
            bos_token_id=self.tokenizer.bos_token_id, eos_token_id=self.stop_ids, pad_token_id=self.pad_id
        )

    # Prompt and embeddings -------------------------------------------------------------------------------------

    def embed(self, ids: Tensor) -> Tensor:
        """Token ids int64 ``[... t]`` -> embeddings ``[... t d]`` as the model's first layer reads them."""
        vectors: Tensor = self.model.get_input_embeddings()(ids.to(self.device))
        return vectors

    def embedding_scale(self) -> float:
        """Root mean square of the vocabulary's embeddings: the size a visual token should have to be read as a word."""
        sample = torch.arange(0, max(self.tokenizer.get_vocab().values()) + 1, device=self.device)[:4096]
        return float(self.embed(sample).float().square().mean().sqrt())

    def prompt_parts(self, instruction: str) -> tuple[list[int], list[int]]:
        """Token ids before and after the visual tokens, up to where the report begins."""
        return prompt_ids(self.tokenizer, instruction, self.name)

    def _prompt(self, instruction: str) -> tuple[Tensor, Tensor]:
        """Embeddings ``[t d]`` before and after the visual tokens; a prompt that returns is embedded once."""
        key = (instruction, self.device)
        if key not in self._prompts:
            if len(self._prompts) >= 64:
                self._prompts.clear()
            # A tensor made under inference mode could never take part in a later backward pass: leave that mode.
            with torch.inference_mode(False), torch.no_grad():
                before, after = (
                    self.embed(torch.tensor(ids, dtype=torch.long)) for ids in self.prompt_parts(instruction)
                )
            self._prompts[key] = (before, after)
        return self._prompts[key]

    def _rows(self, visual: Sequence[Tensor], instruction: str | Sequence[str]) -> list[Tensor]:
        """The whole prompt of each study as embeddings ``[p_i d]``."""
        instructions = [instruction] * len(visual) if isinstance(instruction, str) else list(instruction)
        if len(instructions) != len(visual):
            raise ValueError(f"{len(instructions)} instructions for {len(visual)} studies")
        rows = []
        for tokens, words in zip(visual, instructions, strict=True):
            if tokens.ndim != 2 or tokens.shape[1] != self.width:
                raise ValueError(f"visual tokens are {tuple(tokens.shape)}, the language model reads [m {self.width}]")
            before, after = self._prompt(words)
            rows.append(torch.cat([before, tokens.to(before), after]))
        return rows

    # Training --------------------------------------------------------------------------------------------------

    def fitting_report(self, report: str, limit: int) -> tuple[str, list[int]]:
        """A report as it is taught: its text, and its token ids with the end token, at most ``limit`` of them.

        A longer report is cut at the last sentence end that fits and counted in :attr:`reports_cut`; where not even
        its first sentence fits, it is cut inside that sentence and not taught to end there.
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

    def _emphasised(self, text: str, ids: Sequence[int], spans: Sequence[tuple[int, int]]) -> Tensor:
        """Bool ``[t]``: which tokens of a report touch one of the spans of its characters; the end token does not."""
        marked = torch.zeros(len(ids), dtype=torch.bool)
        if spans:
            if not self.tokenizer.is_fast:
                raise SettingsError(
                    f"{self.name}: this tokenizer does not say where its tokens stand in a text, so no part of a "
                    "report can be emphasised; use its fast form (tokenizer.json)"
                )
            places = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
            for token, (start, stop) in enumerate(places[: len(ids)]):
                marked[token] = any(start < last and stop > first for first, last in spans)
        return marked

    def targets(
        self, report: str, limit: int, emphasis: Callable[[str], Sequence[tuple[int, int]]] | None = None
    ) -> tuple[list[int], Tensor]:
        """A report's token ids as they are taught (:meth:`fitting_report`), and which of them are emphasised, bool
        ``[t]``."""
        text, ids = self.fitting_report(report, limit)
        return ids, self._emphasised(text, ids, emphasis(text) if emphasis else ())

    def target_losses(
        self,
        visual: Sequence[Tensor],
        reports: Sequence[str],
        instruction: str | Sequence[str],
        max_report_tokens: int | None = None,
        emphasis: Callable[[str], Sequence[tuple[int, int]]] | None = None,
    ) -> TargetLosses:
        """Cross entropy of every report token and the end token, given the prompt and the tokens before it.

        Rows are padded on the right to the longest of the batch. Logits are computed only where there is a target.

        Args:
            visual: b tensors ``[m_i d]``.
            reports: b texts.
            instruction: one for all studies, or b of them.
            max_report_tokens: longer reports are cut (see :meth:`fitting_report`).
            emphasis: text -> spans of characters (start, stop) whose tokens are marked in the result.
        """
        rows, targets, marked = [], [], []
        for prompt, report in zip(self._rows(visual, instruction), reports, strict=True):
            room = self.context - len(prompt)
            if room < 2:
                raise SettingsError(
                    f"{self.name} reads {self.context} tokens, the prompt alone has {len(prompt)}; pool image tokens"
                )
            ids, marks = self.targets(report, min(room, max_report_tokens or room), emphasis)
            marked.append(marks)
            targets.append(torch.tensor(ids, dtype=torch.long, device=self.device))
            # The last target is never an input.
            rows.append(torch.cat([prompt, self.embed(targets[-1][:-1])]))
        lengths = torch.tensor([len(row) for row in rows], device=self.device)
        counts = torch.tensor([len(ids) for ids in targets], device=self.device)
        place = torch.arange(int(lengths.max()), device=self.device)
        mask = place < lengths[:, None]
        wanted = mask & (place >= (lengths - counts)[:, None])  # [b t]: the next token is a target
        logits = self.model(
            inputs_embeds=pad_sequence(rows, batch_first=True),
            attention_mask=mask.long(),
            logits_to_keep=wanted,
            use_cache=False,
        ).logits
        values = F.cross_entropy(logits.reshape(-1, logits.shape[-1]).float(), torch.cat(targets), reduction="none")
        owners = torch.repeat_interleave(torch.arange(len(rows), device=self.device), counts)
        return TargetLosses(values, owners, torch.cat(marked).to(self.device))

    def loss(
        self,
        visual: Sequence[Tensor],
        reports: Sequence[str],
        instruction: str | Sequence[str],
        max_report_tokens: int | None = None,
    ) -> Tensor:
        """Mean of :meth:`target_losses` over all target tokens of the batch."""
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
        **decoding: Any,
    ) -> list[str]:
        """Write one text a study: greedy, beam search where ``num_beams`` > 1, or drawn; ends at the end token.

        Prompts are padded on the left, so a text does not depend on its batch beyond rounding (in float32 on a CPU it
        is the same); nor does a drawn one, since every study has a seed of its own.

        Args:
            do_sample: draw, with ``temperature``, ``top_k``, ``top_p`` and ``min_p``.
            seeds: b of them; default 0, 1, ...
            decoding: further fields of transformers' GenerationConfig.

        Raises:
            SettingsError: a prompt that fills the context, and what :func:`check_decoding` refuses.
        """
        rows = self._rows(visual, instruction)
        longest = max(len(row) for row in rows)
        if longest >= self.context:
            raise SettingsError(
                f"{self.name} reads {self.context} tokens, the prompt alone has {longest}; pool image tokens"
            )
        check_decoding({"max_new_tokens": max_new_tokens, "num_beams": num_beams, "do_sample": do_sample, **decoding})
        decoding["num_beams"] = num_beams
        drawn = (list(range(len(rows))) if seeds is None else list(seeds)) if do_sample else None
        # Near the end of the context a row has less room than others, and a least length that counts the prompt leaves
        # it a least of its own: rows are written with those that have the same limits.
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
        return texts

    def _write(
        self, rows: Sequence[Tensor], least: int, most: int, seeds: Sequence[int] | None, decoding: Mapping[str, Any]
    ) -> list[str]:
        """One text of ``least`` to ``most`` tokens after each prompt ``[p_i d]``; drawn where there are seeds."""
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
        return [self._text(row) for row in ids.tolist()]

    def _text(self, ids: list[int]) -> str:
        end = next((place for place, token in enumerate(ids) if token in self.stop_ids), len(ids))
        text: str = self.tokenizer.decode(ids[:end], skip_special_tokens=True)
        return text.strip()

    # Checkpoints -----------------------------------------------------------------------------------------------

    def trained_state_dict(self) -> dict[str, Tensor]:
        """The LoRA weights; empty without LoRA. Frozen and quantised weights are never saved."""
        return dict(self.state_dict())

    def load_trained_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Put saved LoRA weights back.

        Raises:
            CheckpointError: a key is missing or unexpected.
        """
        load_strictly(self, state, f"language model {self.name}")
