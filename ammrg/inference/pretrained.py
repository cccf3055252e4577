"""One self-contained folder of a finished report generator, as Hugging Face's are: written, read, handed on.

    config.json               what rebuilds the network, where it comes from, and a fingerprint of every other file
    model.safetensors         what stage 2 trained
    classifier.safetensors    stage 1's network with its thresholds
    film_distance.safetensors how far a film lies from the training's; not of a stage 1 that does not say
    memory/                   both memory banks (regions, reports)
    preprocessor_config.json  how films are read
    generation_config.json    how reports are decoded
    language_model/           the language model's files; none where it is named by hub id and commit
    README.md                 the model card, the one file that may be edited

Tensors are safetensors, all else is JSON: nothing in it is code.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ammrg.atomic import as_new_files, partial_folder
from ammrg.errors import CheckpointError, MemoryBankError, SettingsError
from ammrg.fingerprints import file_fingerprint, json_fingerprint
from ammrg.imaging.processor import FilmProcessor
from ammrg.memory import bank_files as banks
from ammrg.memory.bank import MemoryBank
from ammrg.memory.editing import without_identities
from ammrg.memory.held_out import Unchecked
from ammrg.networks.class_activation import MapMethod
from ammrg.networks.disease_classifier import DiseaseClassifier
from ammrg.networks.film_distance import FilmDistance
from ammrg.networks.language_model import LanguageModel
from ammrg.networks.report_generator import ReportGenerator
from ammrg.networks.state_dicts import load_strictly

FORMAT = "ammrg-report-generator"
FORMAT_VERSION = 2
"""1: heads with weights of their own, which no code reads any more."""
CONFIG, CARD = "config.json", "README.md"
MODEL, CLASSIFIER = "model.safetensors", "classifier.safetensors"
DISTANCE = "film_distance.safetensors"
PROCESSOR, DECODING = "preprocessor_config.json", "generation_config.json"
LANGUAGE_MODEL = "language_model"
MEMORIES = {"visual": "memory/regions", "report": "memory/reports"}
COPIED = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "*.md", "LICENSE*", "NOTICE*")
"""Files of a language model's folder: weights, settings, tokenizer, terms. Never a pickle, never code."""
AGAIN = "export the run again"
"""The cure of every folder that is not as it was written."""


class Pretrained(NamedTuple):
    """A finished model, ready to write reports."""

    network: ReportGenerator
    """In eval mode, nothing trainable; decodes as its run did."""
    processor: FilmProcessor
    map_method: MapMethod
    """How its findings' maps are made."""
    dataset: str = ""
    """Name of the data set it was trained on."""
    distance: FilmDistance | None = None
    """How far a film lies from those; None where its stage 1 does not say."""


# Writing ---------------------------------------------------------------------------------------------------------


def save(
    folder: str | Path,
    model: Pretrained,
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
        _write_tensors(partial / MODEL, trained)
        _write_tensors(partial / CLASSIFIER, network.classifier.state_dict())
        distance = {} if model.distance is None else model.distance.state()
        if distance:
            _write_tensors(partial / DISTANCE, {key: kept for key, kept in distance.items() if torch.is_tensor(kept)})
        trained_with: dict[str, str] = {}
        for name, bank in (("visual", network.visual_bank), ("report", network.report_bank)):
            if bank is not None:
                trained_with[name] = bank.fingerprint
                bare = restricted and not let_restricted_data_leave
                banks.save(without_identities(bank) if bare else bank, partial / MEMORIES[name])
        _write_json(partial / PROCESSOR, model.processor._asdict())
        _write_json(partial / DECODING, network.decoding)
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


def is_export(folder: Path) -> bool:
    """Whether a folder was written by :func:`save`, whole or not."""
    try:
        return bool(json.loads((folder / CONFIG).read_text(encoding="utf-8")).get("format") == FORMAT)
    except (OSError, ValueError, AttributeError):
        return False


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
    there, here = _read_json(folder / CONFIG), _read_json(fresh / CONFIG)
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


def seal(folder: Path, config: Mapping[str, Any]) -> None:
    """Write config.json with the fingerprint of all it says."""
    said = json.loads(json.dumps({key: value for key, value in config.items() if key != "fingerprint"}))
    _write_json(folder / CONFIG, {**said, "fingerprint": json_fingerprint(said)})


def _is_stage1(key: str) -> bool:
    return key.startswith("classifier.")


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    save_file({key: t.detach().cpu().contiguous().clone() for key, t in tensors.items()}, path, {"format": "pt"})


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


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


# Reading ---------------------------------------------------------------------------------------------------------


def load(folder: str | Path, *, revision: str | None = None, device: str | None = None) -> Pretrained:
    """Read a folder that :func:`save` wrote, and check all of it.

    Args:
        folder: its path, or the hub id of a repository that holds one.
        revision: commit, branch or tag of a hub id.
        device: where the networks go; default the current CUDA device where there is one, else the CPU.

    Raises:
        CheckpointError: no such folder, another format or version, a file that is missing or changed, weights that do
            not fit, or a language model with other files.
        SettingsError: the language model cannot be had or run here.
        MemoryBankError: a memory of another stage 1.
    """
    folder = _local(folder, revision)
    config = verified(folder)
    processor = FilmProcessor(**_read_json(folder / PROCESSOR))
    classifier = DiseaseClassifier.from_config(config["classifier"])
    classifier.encoder.check_films(processor.image_size)
    weights = _read_tensors(folder / CLASSIFIER)
    load_strictly(classifier, weights, str(folder / CLASSIFIER))
    language_model = _load_language_model(folder, config["language_model"], device)
    known = ReportGenerator.__init__.__kwdefaults__ or {}
    unknown = sorted(set(config["generator"]) - set(known))
    if unknown:
        raise CheckpointError(
            f"{folder / CONFIG}: generator: the setting {unknown[0]!r} is not known to this release; read the folder "
            "with the release that wrote it (provenance.versions), or export the run again with this one"
        )
    network = ReportGenerator(
        classifier,
        language_model,
        *(_load_bank(folder, config, name) for name in MEMORIES),
        **config["generator"],
    )
    trained = _read_tensors(folder / MODEL) | {f"classifier.{key}": tensor for key, tensor in weights.items()}
    load_strictly(network, trained, str(folder / MODEL))
    network.decoding = _read_json(folder / DECODING)
    network.requires_grad_(False).eval()
    if language_model.device.type != "cpu":
        network.to(language_model.device)
    dataset = str(config["provenance"].get("dataset", ""))
    return Pretrained(network, processor, config["map_method"], dataset, _load_distance(folder, config))


def verified(folder: str | Path) -> dict[str, Any]:
    """What config.json says, once it and every file it lists is found as it was written.

    Raises:
        CheckpointError: see :func:`load`.
    """
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise CheckpointError(
            f"{folder}: holds no exported report generator (no {CONFIG}); write one of a finished run with "
            "python -m experiments export RUN --out FOLDER"
        )
    config = _read_json(path)
    found = config.get("format"), config.get("version")
    if found[0] != FORMAT:
        raise CheckpointError(f"{path}: format is {found[0]!r}, not {FORMAT!r}: this is another kind of model's folder")
    if found[1] != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: format version {found[1]}, but this code reads version {FORMAT_VERSION}; {AGAIN}, or use the "
            "release that wrote it"
        )
    said = {key: value for key, value in config.items() if key != "fingerprint"}
    if json_fingerprint(said) != config.get("fingerprint"):
        raise CheckpointError(f"{path}: was changed since it was written; put it back, or {AGAIN}")
    for name, wanted in config["files"].items():
        file = Path(folder) / name
        if not file.is_file():
            raise CheckpointError(f"{file}: missing, though {CONFIG} lists it; copy the whole folder, or {AGAIN}")
        content = file_fingerprint(file)
        if content != wanted:
            raise CheckpointError(
                f"{file}: content {content}, but {CONFIG} says {wanted}: it was changed or is damaged; copy the folder "
                f"again, or {AGAIN}"
            )
    return config


def _local(folder: str | Path, revision: str | None) -> Path:
    """The folder itself or, of a hub id, its copy in the hub's cache."""
    if Path(folder).is_dir():
        return Path(folder)
    from httpx2 import HTTPError
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(folder), revision=revision))
    except (OSError, ValueError, HTTPError) as error:
        raise CheckpointError(
            f"{folder}: neither a folder nor a model the hub gave ({_first_line(error)}); name an exported folder, or "
            "a hub id such as organisation/name"
        ) from error


def _load_language_model(folder: Path, named: Mapping[str, Any], device: str | None) -> LanguageModel:
    settings = {key: value for key, value in named.items() if key not in ("name", "revision")}
    if named["name"] is None:
        return LanguageModel(str(folder / LANGUAGE_MODEL), device=device, **settings)
    model = LanguageModel(named["name"], revision=named["revision"], device=device, **settings)
    found = model.identity["fingerprint"]
    if found != named["revision"]:
        raise CheckpointError(
            f"{folder / CONFIG}: language_model: {named['name']} has fingerprint {found}, but the network was trained "
            f"with {named['revision']}: these are other files; let the hub give that commit, or {AGAIN}"
        )
    return model


def _load_bank(folder: Path, config: Mapping[str, Any], name: str) -> MemoryBank | None:
    if not config["generator"][f"{name}_memory"]:
        return None
    split = config["provenance"].get("split", {}).get("fingerprint")
    if not split:
        raise CheckpointError(
            f"{folder / CONFIG}: provenance.split: does not say against which validation and test studies the memories "
            f"were checked; {AGAIN}"
        )
    bank = banks.load(folder / MEMORIES[name], Unchecked(f"checked against split {split} when it was exported"))
    wanted = config["memories_trained_with"].get(name, "")
    if not bank.descends_from(wanted):
        raise MemoryBankError(
            f"{folder / MEMORIES[name]}.json: is bank {bank.fingerprint}, but the network was exported with {wanted}; "
            f"{AGAIN}"
        )
    return bank


def _load_distance(folder: Path, config: Mapping[str, Any]) -> FilmDistance | None:
    """None of a folder of an earlier release, or whose stage 1 has none."""
    numbers = config.get("film_distance")
    if numbers is None:
        return None
    return FilmDistance.from_state({**numbers, **_read_tensors(folder / DISTANCE)}, str(folder / CONFIG))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{path}: not readable as JSON ({_first_line(error)}); {AGAIN}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: holds {type(value).__name__}, not an object; {AGAIN}")
    return value


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a whole safetensors file ({_first_line(error)}); {AGAIN}") from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


# Handing on --------------------------------------------------------------------------------------------------------


def push_to_hub(
    folder: str | Path, repo_id: str, *, private: bool = True, let_restricted_data_leave: bool = False
) -> str:
    """Put an exported folder on the Hugging Face hub, under the account that is logged in (``hf auth login``).

    Only the files that the folder was written with go, in one commit.

    Returns:
        The address of the commit.

    Raises:
        SettingsError: the data are restricted and nobody said that they may leave, or the hub did not take it.
        CheckpointError: the folder is not whole.
    """
    config = verified(folder)
    if config["restricted"] and not let_restricted_data_leave:
        raise SettingsError(
            f"{folder}: was trained on {config['provenance'].get('dataset', 'data')}, which is restricted: its weights "
            "and memories stay where the data may be kept, and are not pushed. Whoever may decide otherwise says so "
            "with let_restricted_data_leave (--let-restricted-data-leave)"
        )
    from httpx2 import HTTPError
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            allow_patterns=[*config["files"], CONFIG, CARD],
            commit_message=f"{FORMAT} {config['fingerprint']}",
        )
    except (OSError, ValueError, HTTPError) as error:
        raise SettingsError(
            f"{repo_id}: the hub did not take the folder ({_first_line(error)}); log in with hf auth login, and name a "
            "repository you may write to, such as organisation/name"
        ) from error
    return str(commit.commit_url)
