"""Loading of a language model and its tokenizer from a local Hugging Face folder or from the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from ammrg.errors import SettingsError
from ammrg.fingerprints import file_fingerprint, json_fingerprint
from ammrg.networks.left_over import other_network
from ammrg.networks.quantization import bitsandbytes_settings
from ammrg.networks.quiet_loading import quiet_loading

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "spiece.model")
WEIGHT_FILES = ("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", *TOKENIZER_FILES)


def compute_dtype_of(name: str | None, device: torch.device) -> torch.dtype:
    """Return the dtype with this name; without a name, float32 on a CPU and bfloat16 elsewhere.

    Raises:
        SettingsError: an unknown name.
    """
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name is None:
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    if name not in known:
        raise SettingsError(f"compute_dtype '{name}' must be one of {', '.join(known)}")
    return known[name]


def load_tokenizer(name: str, revision: str | None) -> Any:
    """Load the tokenizer of a folder or hub id.

    Raises:
        SettingsError: there is no tokenizer, or it cannot be read.
    """
    from transformers import AutoTokenizer

    folder = Path(name)
    if not folder.is_dir() and (folder.is_absolute() or (folder.parent != Path() and folder.parent.is_dir())):
        # The name is meant as a folder: without this check, the hub would be asked for it, which takes long.
        beside = sorted(path.parent.name for path in folder.parent.glob("*/config.json"))
        raise SettingsError(f"{name}: no such folder; {folder.parent} holds {', '.join(beside) or 'no model'}")
    if folder.is_dir() and not any((folder / file).exists() for file in TOKENIZER_FILES):
        raise SettingsError(
            f"{name}: no tokenizer in this folder (none of {', '.join(TOKENIZER_FILES)}); save it beside the weights"
        )
    try:
        return AutoTokenizer.from_pretrained(name, revision=revision)
    except (OSError, ValueError) as error:
        raise SettingsError(_not_found(name, "tokenizer", error)) from error


def load_model(name: str, revision: str | None, quantization: str, dtype: torch.dtype, device: torch.device) -> Any:
    """Load the causal language model of a folder or hub id, with its weights on ``device``.

    Raises:
        SettingsError: there is no model, its files are incomplete, or ``device`` cannot run this quantisation.
    """
    from transformers import AutoModelForCausalLM

    try:
        with quiet_loading(name):
            model, report = AutoModelForCausalLM.from_pretrained(
                name,
                revision=revision,
                quantization_config=bitsandbytes_settings(quantization, dtype),
                dtype=dtype,
                device_map={"": device},
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
    except OSError as error:
        raise SettingsError(_not_found(name, "model", error)) from error
    except SafetensorError as error:
        raise SettingsError(f"{name}: its weights cannot be read ({error}); copy the model again") from error
    except (RuntimeError, ValueError, ImportError) as error:
        raise SettingsError(
            f"{name}: cannot be loaded with quantization {quantization} on {device} ({error}); "
            "try quantization none with compute_dtype bfloat16"
        ) from error
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise SettingsError(
            f"{name}: {len(missing)} weights are missing from its files (first: {missing[0]}); copy the model again"
        )
    wrong = other_network(model, report)
    if wrong:
        raise SettingsError(f"{name}: {wrong}")
    return model


def _not_found(name: str, what: str, error: Exception) -> str:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    if Path(name).is_dir():
        files = "tokenizer.json, tokenizer_config.json" if what == "tokenizer" else "config.json, *.safetensors"
        return f"{name}: the folder is there, but its {what} cannot be read ({files}): {reason}; copy it again"
    return (
        f"'{name}': no {what} found. It is neither a complete Hugging Face folder nor a model that the hub gave "
        f"({reason}). Name an existing folder (the phantom's and those of `make models` are in models/) or a hub id."
    )


def files_fingerprint(name: str) -> str | None:
    """Return a fingerprint of the weights, settings and tokenizer in a folder; None for a hub id."""
    folder = Path(name)
    if not folder.is_dir():
        return None
    files = sorted({file for pattern in WEIGHT_FILES for file in folder.glob(pattern)})
    return json_fingerprint({file.name: file_fingerprint(file) for file in files})


def commit_of(name: str, revision: str | None) -> str | None:
    """Return the commit of a hub id whose files were read: the hub's cache names their folder after it."""
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(name, "config.json", revision=revision)
    return Path(config).parent.name if isinstance(config, str) else None
