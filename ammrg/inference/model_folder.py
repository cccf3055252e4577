"""The format of an exported report generator: one self-contained folder, like those of Hugging Face.

    config.json               settings that rebuild the network, its origin, and a fingerprint of every other file
    model.safetensors         weights that stage 2 trained
    classifier.safetensors    stage 1's network with its thresholds
    film_distance.safetensors measure of a film's distance from the training films, where stage 1 has one
    memory/                   the memory banks (regions, reports, and further ones)
    preprocessor_config.json  how films are read
    generation_config.json    how reports are decoded
    language_model/           the language model's files; absent where it is named by hub id and commit
    README.md                 the model card, the only file that may be edited

Tensors are safetensors, everything else is JSON or text: no file holds code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ammrg.errors import CheckpointError
from ammrg.fingerprints import file_fingerprint, json_fingerprint

FORMAT = "ammrg-report-generator"
FORMAT_VERSION = 2
"""Version 1 had separate weights for each head; no code reads it any more."""
CONFIG, CARD = "config.json", "README.md"
MODEL, CLASSIFIER = "model.safetensors", "classifier.safetensors"
DISTANCE = "film_distance.safetensors"
PROCESSOR, DECODING = "preprocessor_config.json", "generation_config.json"
LANGUAGE_MODEL = "language_model"
MEMORIES = {"visual": "memory/regions", "report": "memory/reports"}
AGAIN = "export the run again"
"""The advice for every folder that is damaged or was changed."""


def memory_path(name: str) -> str:
    """Return where the bank of a memory is, without suffix; a further memory has its own name."""
    return MEMORIES.get(name, f"memory/{name}")


def is_export(folder: Path) -> bool:
    """Tell whether :func:`ammrg.inference.saving.save` wrote a folder, even if files are missing now."""
    try:
        return bool(json.loads((folder / CONFIG).read_text(encoding="utf-8")).get("format") == FORMAT)
    except (OSError, ValueError, AttributeError):
        return False


def card_of(folder: Path) -> str | None:
    """Return the text of a folder's model card; None where it has none that can be read."""
    try:
        return (folder / CARD).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def seal(folder: Path, config: Mapping[str, Any]) -> None:
    """Write config.json with the fingerprint of its content."""
    content = json.loads(json.dumps({key: value for key, value in config.items() if key != "fingerprint"}))
    write_json(folder / CONFIG, {**content, "fingerprint": json_fingerprint(content)})


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors, on any device, to a safetensors file."""
    save_file({key: t.detach().cpu().contiguous().clone() for key, t in tensors.items()}, path, {"format": "pt"})


def write_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys: the same value gives the same bytes."""
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def verified(folder: str | Path) -> dict[str, Any]:
    """Check that config.json and every file it lists are unchanged, and return its content.

    Raises:
        CheckpointError: the folder is missing or has another format or version, or a file is missing or was changed.
    """
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise CheckpointError(
            f"{folder}: holds no exported report generator (no {CONFIG}); write one of a finished run with "
            "python -m experiments export RUN --out FOLDER"
        )
    config = read_json(path)
    found = config.get("format"), config.get("version")
    if found[0] != FORMAT:
        raise CheckpointError(f"{path}: format is {found[0]!r}, not {FORMAT!r}: this is another kind of folder")
    if found[1] != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: format version {found[1]}, but this code reads version {FORMAT_VERSION}; {AGAIN}, or use the "
            "release that wrote it"
        )
    content = {key: value for key, value in config.items() if key != "fingerprint"}
    if json_fingerprint(content) != config.get("fingerprint"):
        raise CheckpointError(f"{path}: was changed since it was written; restore the original, or {AGAIN}")
    for name, wanted in config["files"].items():
        file = Path(folder) / name
        if not file.is_file():
            raise CheckpointError(f"{file}: missing, though {CONFIG} lists it; copy the whole folder, or {AGAIN}")
        held = file_fingerprint(file)
        if held != wanted:
            raise CheckpointError(
                f"{file}: has fingerprint {held}, but {CONFIG} says {wanted}: it was changed or is damaged; copy the "
                f"folder again, or {AGAIN}"
            )
    return config


def read_json(path: Path) -> dict[str, Any]:
    """Read the object in a JSON file.

    Raises:
        CheckpointError: the file cannot be read or does not hold an object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{path}: not readable as JSON ({first_line(error)}); {AGAIN}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: holds {type(value).__name__}, not an object; {AGAIN}")
    return value


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file, on the CPU.

    Raises:
        CheckpointError: the file cannot be read.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a complete safetensors file ({first_line(error)}); {AGAIN}") from error


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type where the message is empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
