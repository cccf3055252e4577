"""A report generator written as one self-contained folder (:mod:`ammrg.inference.model_folder`)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ammrg.atomic import as_new_files, partial_folder
from ammrg.errors import SettingsError
from ammrg.fingerprints import file_fingerprint
from ammrg.inference.model_folder import (
    CARD,
    CLASSIFIER,
    CONFIG,
    DECODING,
    DISTANCE,
    FORMAT,
    FORMAT_VERSION,
    LANGUAGE_MODEL,
    MEMORIES,
    MODEL,
    PROCESSOR,
    is_export,
    read_json,
    seal,
    write_json,
    write_tensors,
)
from ammrg.inference.report_generator import ReportGenerator
from ammrg.memory import bank_files as banks
from ammrg.memory.editing import without_identities
from ammrg.networks.language_model import LanguageModel

COPIED = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "*.md", "LICENSE*", "NOTICE*")
"""Files of a language model's folder: weights, settings, tokenizer, terms. Never a pickle, never code."""


def save(
    folder: str | Path,
    model: ReportGenerator,
    *,
    card: str,
    provenance: Mapping[str, Any],
    restricted: bool,
    let_restricted_data_leave: bool = False,
) -> Path:
    """Write the folder, whole or not at all. The same model gives the same bytes.

    Args:
        folder: where it goes; new, empty, or an export of this very content, which stays (what is damaged or missing
            there is put right; an edited README.md stays as it is).
        model: the network with its language model, banks and decoding, and how films are read.
        card: the text of README.md.
        provenance: JSON of what the model comes from (data, checkpoint, the split its memory was checked against,
            versions), kept as it is.
        restricted: the data must not leave; ids and texts are then left out of the memories.
        let_restricted_data_leave: keep ids and texts even so.

    Raises:
        SettingsError: the folder holds something else, or the language model's folder has no safetensors.
    """
    folder = Path(folder)
    check_place(folder)
    network, language_model = model.network, model.network.language_model
    with partial_folder(folder) as partial:
        trained = {key: tensor for key, tensor in network.trained_state_dict().items() if not _is_stage1(key)}
        write_tensors(partial / MODEL, trained)
        write_tensors(partial / CLASSIFIER, network.classifier.state_dict())
        distance = {} if model.distance is None else model.distance.state()
        if distance:
            write_tensors(partial / DISTANCE, {key: kept for key, kept in distance.items() if torch.is_tensor(kept)})
        trained_with: dict[str, str] = {}
        for name, bank in (("visual", network.visual_bank), ("report", network.report_bank)):
            if bank is not None:
                trained_with[name] = bank.fingerprint
                bare = restricted and not let_restricted_data_leave
                banks.save(without_identities(bank) if bare else bank, partial / MEMORIES[name])
        write_json(partial / PROCESSOR, model.processor._asdict())
        write_json(partial / DECODING, network.decoding)
        (partial / CARD).write_text(card, encoding="utf-8")
        if Path(language_model.name).is_dir():
            _copy_language_model(Path(language_model.name), partial / LANGUAGE_MODEL)
        files = sorted(path for path in partial.rglob("*") if path.is_file() and path != partial / CARD)
        config = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "classifier": network.classifier.config,
            "language_model": _named_language_model(language_model),
            "generator": _without_paths(network.config),
            "map_method": model.map_method,
            "film_distance": {key: kept for key, kept in distance.items() if not torch.is_tensor(kept)} or None,
            "restricted": restricted,
            "memories_trained_with": trained_with,
            "provenance": dict(provenance),
            "files": {path.relative_to(partial).as_posix(): file_fingerprint(path) for path in files},
        }
        seal(partial, config)
        as_new_files(partial.rglob("*"))
        if is_export(folder):
            _put_right(folder, partial)
        else:
            if folder.exists():
                folder.rmdir()
            os.replace(partial, folder)
    return folder


def check_place(folder: Path) -> None:
    """Refuse to write over what is no export.

    Raises:
        SettingsError: a file, or a folder that holds something else.
    """
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not is_export(folder))):
        raise SettingsError(
            f"{folder}: is there already, not empty and no export; name another with --out, or remove it yourself"
        )


def _put_right(folder: Path, fresh: Path) -> None:
    """Leave an export of the same content as it is; what is missing or damaged there comes from ``fresh``.

    Raises:
        SettingsError: an export of other content, or other files lie among its own.
    """
    there, here = read_json(folder / CONFIG), read_json(fresh / CONFIG)
    if there != here:
        keys = [key for key in here if there.get(key) != here[key]] or sorted(there.keys() - here.keys())
        differs = next((key for key in keys if key not in ("files", "fingerprint")), keys[0])
        checkpoints = [said.get("provenance", {}).get("checkpoint") for said in (there, here)]
        told = f"checkpoint {checkpoints[0]}, not {checkpoints[1]}" if len({*checkpoints}) > 1 else f"another {differs}"
        raise SettingsError(
            f"{folder}: holds an export of other content ({told}); name another folder with --out, or remove it "
            "yourself"
        )
    files = {path.relative_to(fresh) for path in fresh.rglob("*") if path.is_file()}
    strangers = sorted({path.relative_to(folder) for path in folder.rglob("*") if path.is_file()} - files)
    if strangers:
        raise SettingsError(
            f"{folder}: {strangers[0]} is not of the export; take it away, or name another folder with --out"
        )
    for name in sorted(files):
        kept = folder / name
        if not kept.is_file() or (name != Path(CARD) and file_fingerprint(kept) != file_fingerprint(fresh / name)):
            kept.parent.mkdir(parents=True, exist_ok=True)
            os.replace(fresh / name, kept)


def _is_stage1(key: str) -> bool:
    return key.startswith("classifier.")


def _named_language_model(model: LanguageModel) -> dict[str, Any]:
    """A folder's copy goes by its files; a model of the hub by its id and commit."""
    if Path(model.name).is_dir():
        return {"name": None, "revision": None, **model.config}
    return {"name": model.name, "revision": model.identity["fingerprint"] or model.revision, **model.config}


def _copy_language_model(source: Path, target: Path) -> None:
    found = sorted({file for pattern in COPIED for file in source.glob(pattern) if file.is_file()})
    if not any(file.suffix == ".safetensors" for file in found):
        raise SettingsError(
            f"{source}: holds no *.safetensors, and weights in pickles are not copied; save the model again with "
            "transformers (save_pretrained), which writes safetensors"
        )
    target.mkdir()
    for file in found:
        shutil.copyfile(file, target / file.name)


def _without_paths(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Where an index of the memories is kept is a matter of the machine."""
    kept = dict(settings)
    if kept.get("two_step"):
        kept["two_step"] = {name: value for name, value in kept["two_step"].items() if name != "folder"}
    return kept
