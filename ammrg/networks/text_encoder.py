"""The text encoder: one vector for a report, from a frozen BERT-like encoder or causal language model."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from ammrg.errors import SettingsError
from ammrg.fingerprints import json_fingerprint, tensors_fingerprint
from ammrg.networks.left_over import other_network
from ammrg.networks.quiet_loading import quiet_loading

Pooling = Literal["cls", "mean"]


class TextEncoder(nn.Module):
    """Encodes each text as one vector, in float32 and without gradient.

    Args:
        name_or_folder: a local Hugging Face folder (nothing is then looked up online) or a hub id.
        pooling: ``cls``, the last hidden state of the first token (only for BERT-like encoders), or ``mean``, the mean
            of the last hidden states of all tokens.
        max_tokens: longer texts are cut; limited to the model's positions.
        batch_size: texts encoded at once.
        revision: of a hub id; None: its default.

    Raises:
        SettingsError: the model or its tokenizer is missing, the weights do not fit, or the model does not allow the
            pooling.
    """

    def __init__(
        self,
        name_or_folder: str,
        pooling: Pooling = "cls",
        max_tokens: int = 256,
        batch_size: int = 32,
        revision: str | None = None,
    ) -> None:
        super().__init__()
        if pooling not in ("cls", "mean"):
            raise SettingsError(f"pooling must be 'cls' or 'mean', not {pooling!r}")
        if max_tokens < 1 or batch_size < 1:
            raise SettingsError(f"max_tokens ({max_tokens}) and batch_size ({batch_size}) must be at least 1")
        self.name, self.pooling, self.batch_size = name_or_folder, pooling, batch_size
        self.model, self.tokenizer = _load(name_or_folder, revision)
        config = self.model.config
        if config.is_encoder_decoder:
            raise SettingsError(
                f"{name_or_folder}: an encoder-decoder ({config.model_type}) has more than one last hidden state; "
                "use a BERT-like encoder or a causal language model"
            )
        if pooling == "cls" and self.tokenizer.cls_token_id is None:
            raise SettingsError(
                f"{name_or_folder}: its tokenizer has no [CLS] token, so pooling 'cls' would use the first token, "
                "which has not read the text; set pooling to 'mean'"
            )
        self.max_tokens = min(max_tokens, getattr(config, "max_position_embeddings", None) or max_tokens)
        self.model.requires_grad_(False).eval()

    @property
    def width(self) -> int:
        """d, the width of a vector."""
        return int(self.model.config.hidden_size)

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of everything that a vector depends on; the same for a hub id and its local copy.

        It covers weights, configuration, tokenizer, pooling and the limit of tokens.
        """
        config = {
            key: value
            for key, value in self.model.config.to_dict().items()
            if key not in ("_name_or_path", "transformers_version", "dtype", "use_cache")
        }
        return json_fingerprint(
            {
                # a pooler is not used here, and may be random
                "weights": tensors_fingerprint({k: v for k, v in self.model.state_dict().items() if "pooler" not in k}),
                "config": json.loads(json.dumps(config, default=str)),
                "tokenizer": _tokenizer_content(self.tokenizer),
                "pooling": self.pooling,
                "max_tokens": self.max_tokens,
            }
        )

    def train(self, mode: bool = True) -> TextEncoder:
        """Stay in eval mode, whatever ``mode`` is: the encoder is never trained."""
        return super().train(False)

    @torch.no_grad()
    def encode(self, texts: list[str]) -> Tensor:
        """Encode texts: float32 ``[b d]`` on the CPU, in the given order.

        A text's vector does not depend on the other texts (up to rounding), because padding is masked. An empty text is
        encoded by the tokenizer's special tokens alone.
        """
        if not texts:
            return torch.empty(0, self.width)
        ids = [self._ids(text) for text in texts]
        # texts of similar length share a batch, for little padding; longest first shows a lack of memory at once
        order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
        vectors = torch.empty(len(ids), self.width)
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            vectors[rows] = self._vectors([ids[i] for i in rows]).cpu()
        return vectors

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, truncation=True, max_length=self.max_tokens)["input_ids"]
        return ids or [self._filler]

    @property
    def _filler(self) -> int:
        """The token used for padding: the tokenizer's padding token, or else the end of text."""
        for token in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id, self.tokenizer.bos_token_id):
            if token is not None:
                return int(token)
        return 0  # masked like any other padding

    def _vectors(self, ids: list[list[int]]) -> Tensor:
        """Encode the token ids of m texts, ``[m d]``."""
        device = next(self.model.parameters()).device
        longest = max(map(len, ids))
        tokens = torch.tensor([row + [self._filler] * (longest - len(row)) for row in ids], device=device)
        lengths = torch.tensor([len(row) for row in ids], device=device)
        mask = torch.arange(longest, device=device) < lengths[:, None]  # [m t]
        with torch.autocast(device.type, enabled=False):
            hidden: Tensor = self.model(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        if self.pooling == "cls":
            return hidden[:, 0]
        return (hidden * mask[..., None]).sum(dim=1) / lengths[:, None]


def _load(name: str, revision: str | None) -> tuple[Any, Any]:
    """Load a model in float32 and its tokenizer, and check that no weight is missing or left over."""
    from transformers import AutoModel, AutoTokenizer  # seconds to import

    local = Path(name).is_dir()
    place = {"local_files_only": local, "revision": revision} if revision else {"local_files_only": local}
    try:
        with quiet_loading(name):  # the missing weights that matter are named below
            model, report = AutoModel.from_pretrained(
                name, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True, **place
            )
    except (OSError, ValueError, SafetensorError) as error:
        raise SettingsError(
            f"text encoder {name!r}: no model found ({_first_line(error)}). "
            "Give a local Hugging Face folder with config.json and model.safetensors, or a hub id that can be reached"
        ) from error
    # the pooler on top of [CLS] is not used, and language-model folders lack it
    missing = sorted(key for key in report["missing_keys"] if "pooler" not in key)
    if missing:
        raise SettingsError(
            f"text encoder {name!r}: {len(missing)} weights are missing (first: {missing[0]}) and would be random; "
            "copy the model again"
        )
    wrong = other_network(model, report)
    if wrong:
        raise SettingsError(f"text encoder {name!r}: {wrong}")
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, **place)
    except (OSError, ValueError, TypeError, KeyError, ImportError) as error:
        raise _no_tokenizer(name, _first_line(error)) from error
    known, rows = len(tokenizer.get_vocab()), model.get_input_embeddings().num_embeddings
    # for some models, a folder without tokenizer files silently gives a tokenizer with special tokens only
    if known <= len(set(tokenizer.all_special_tokens)):
        raise _no_tokenizer(name, f"a vocabulary of {known} special tokens only")
    if max(tokenizer.get_vocab().values()) >= rows:
        raise _no_tokenizer(name, f"a vocabulary of {known} tokens, but the model has {rows}")
    return model, tokenizer


def _no_tokenizer(name: str, found: str) -> SettingsError:
    return SettingsError(
        f"text encoder {name!r}: no usable tokenizer found ({found}); "
        "save the model's own tokenizer into the same folder (tokenizer.json, tokenizer_config.json)"
    )


def _tokenizer_content(tokenizer: Any) -> Any:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return sorted(tokenizer.get_vocab().items())
    content = json.loads(backend.to_str())
    # the last call leaves these behind; they do not belong to the tokenizer
    return {key: value for key, value in content.items() if key not in ("truncation", "padding")}


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
