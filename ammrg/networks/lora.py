"""LoRA adapters (Hu et al. 2022) in a frozen language model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from ammrg.errors import SettingsError


def linear_layers(model: Any) -> list[str]:
    """List the last parts of the names of all linear layers except the head: LoRA adapts these by default."""
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    return sorted(
        {
            name.rpartition(".")[2]
            for name, module in model.named_modules()
            if isinstance(module, (nn.Linear, Conv1D)) and module is not head
        }
    )


def add_lora(model: Any, settings: Mapping[str, Any]) -> None:
    """Add adapters to a model, in float32.

    Args:
        model: of transformers; changed in place.
        settings: ``rank``, ``alpha``, ``dropout`` and ``targets``, all optional; see
            :class:`ammrg.networks.language_model.LanguageModel`.

    Raises:
        SettingsError: a field is unknown, a value is out of range, or a target is not a linear layer of the model.
    """
    from peft import LoraConfig, inject_adapter_in_model
    from peft.functional import cast_adapter_dtype

    unknown = set(settings) - {"rank", "alpha", "dropout", "targets"}
    if unknown:
        raise SettingsError(f"lora: unknown field {', '.join(sorted(unknown))}; known: rank, alpha, dropout, targets")
    found = linear_layers(model)
    targets = list(settings.get("targets") or found)
    names = [name for name, _ in model.named_modules()]
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            raise SettingsError(f"lora.targets: '{target}' matches no layer of the model; it has {', '.join(found)}")
    rank, dropout = settings.get("rank", 8), settings.get("dropout", 0.0)
    if not rank >= 1 or int(rank) != rank:
        raise SettingsError(f"lora.rank ({rank}) must be a whole number of at least 1")
    if not 0 <= dropout < 1:
        raise SettingsError(f"lora.dropout ({dropout}) must lie in [0, 1)")
    config = LoraConfig(
        r=int(rank),
        lora_alpha=float(settings.get("alpha", 2 * rank)),
        lora_dropout=float(dropout),
        target_modules=targets,
        bias="none",
    )
    try:
        inject_adapter_in_model(config, model)
    except ValueError as error:  # a layer that is not linear
        reason = " ".join(str(error).split())
        raise SettingsError(
            f"lora.targets {', '.join(targets)}: {reason}; the linear layers are {', '.join(found)}"
        ) from error
    # peft makes adapters in the dtype of their layer. In bfloat16, rounding would lose small steps, also of an average.
    # get_peft_model casts them itself (https://github.com/huggingface/peft/pull/1706), but injection does not.
    cast_adapter_dtype(model, adapter_name="default")
