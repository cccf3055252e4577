"""Saving of a report generator as one self-contained folder (:mod:`ammrg.inference.model_folder`)."""

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
    MODEL,
    PROCESSOR,
    is_export,
    memory_path,
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
"""Files copied from a language model's folder: weights, settings, tokenizer, terms of use. Never pickles or code."""


def save(
    folder: str | Path,
    model: ReportGenerator,
    *,
    card: str,
    provenance: Mapping[str, Any],
    restricted: bool,
    let_restricted_data_leave: bool = False,
) -> Path:
    """Write the whole folder, or nothing. The same model gives the same bytes.

    Args:
        folder: a new or empty folder, or an export with the same content. The latter is repaired: files that are
            missing or damaged are written again, and an edited README.md is kept.
        model: the network with its language model, banks and decoding, and how films are read.
        card: the text of README.md.
        provenance: JSON about the model's origin (data, checkpoint, versions, and the split that its memory was checked
            against); written unchanged.
        restricted: whether the data may not leave; then ids and texts are left out of the memories.
        let_restricted_data_leave: keep ids and texts although the data are restricted.

    Returns:
        The folder.

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
        if moments := {key: kept for key, kept in distance.items() if torch.is_tensor(kept)}:
            write_tensors(partial / DISTANCE, moments)
        trained_with: dict[str, str] = {}
        for name, bank in network.banks.items():
            trained_with[name] = bank.fingerprint
            bare = restricted and not let_restricted_data_leave
            banks.save(without_identities(bank) if bare else bank, partial / memory_path(name))
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
            "film_distance": {key: kept for key, kept in distance.items() if key not in moments} or None,
            **({} if model.influence is None else {"influence_threshold": model.influence._asdict()}),
            **({} if model.curve is None else {"operating_curve": model.curve.as_json()}),
            **({} if model.beats_constants is None else {"beats_constants": model.beats_constants}),
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
    """Refuse to overwrite anything that is not an export.

    Raises:
        SettingsError: the place is a file, or a folder that holds something else.
    """
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not is_export(folder))):
        raise SettingsError(
            f"{folder}: already exists and is not an export; name another folder with --out, or remove it yourself"
        )


def _put_right(folder: Path, fresh: Path) -> None:
    """Repair an export of the same content: missing and damaged files come from ``fresh``.

    Raises:
        SettingsError: the export has another content, or holds other files too.
    """
    there, here = read_json(folder / CONFIG), read_json(fresh / CONFIG)
    if there != here:
        keys = [key for key in here if there.get(key) != here[key]] or sorted(there.keys() - here.keys())
        differs = next((key for key in keys if key not in ("files", "fingerprint")), keys[0])
        ours, theirs = (config.get("provenance", {}).get("checkpoint") for config in (here, there))
        difference = f"checkpoint {theirs}, not {ours}" if theirs != ours else f"another {differs}"
        raise SettingsError(
            f"{folder}: holds an export with other content ({difference}); name another folder with --out, or remove "
            "it yourself"
        )
    files = {path.relative_to(fresh) for path in fresh.rglob("*") if path.is_file()}
    strangers = sorted({path.relative_to(folder) for path in folder.rglob("*") if path.is_file()} - files)
    if strangers:
        raise SettingsError(
            f"{folder}: {strangers[0]} does not belong to the export; remove it, or name another folder with --out"
        )
    for name in sorted(files):
        kept = folder / name
        if not kept.is_file() or (name != Path(CARD) and file_fingerprint(kept) != file_fingerprint(fresh / name)):
            kept.parent.mkdir(parents=True, exist_ok=True)
            os.replace(fresh / name, kept)


def _is_stage1(key: str) -> bool:
    return key.startswith("classifier.")


def _named_language_model(model: LanguageModel) -> dict[str, Any]:
    """Return the settings of a language model: a copied folder needs no name, a hub model has its id and commit."""
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
    """Leave out the folder of the search index: it differs between machines."""
    kept = dict(settings)
    if kept.get("two_step"):
        kept["two_step"] = {name: value for name, value in kept["two_step"].items() if name != "folder"}
    return kept
