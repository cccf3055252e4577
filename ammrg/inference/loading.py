"""Loading of a report generator: its parts are read from a folder (:mod:`ammrg.inference.model_folder`) and checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ammrg.errors import CheckpointError, MemoryBankError
from ammrg.imaging.processor import FilmProcessor
from ammrg.inference.model_fingerprint import model_fingerprint
from ammrg.inference.model_folder import (
    AGAIN,
    CLASSIFIER,
    CONFIG,
    DECODING,
    DISTANCE,
    LANGUAGE_MODEL,
    MEMORIES,
    MODEL,
    PROCESSOR,
    memory_path,
    read_json,
    read_tensors,
    verified,
)
from ammrg.memory import bank_files
from ammrg.memory.bank import MemoryBank
from ammrg.memory.held_out import Unchecked
from ammrg.networks.class_activation import MapMethod
from ammrg.networks.disease_classifier import DiseaseClassifier
from ammrg.networks.film_distance import FilmDistance, TooFewFilms
from ammrg.networks.language_model import LanguageModel
from ammrg.networks.report_network import ReportNetwork, check_names
from ammrg.networks.state_dicts import load_strictly
from ammrg.operating_points import OperatingCurve
from ammrg.reasons import InfluenceThresholds

Parts = tuple[
    ReportNetwork, FilmProcessor, MapMethod, str, FilmDistance | TooFewFilms | None, InfluenceThresholds | None,
    str, OperatingCurve | None, bool | None,
]  # fmt: skip
"""The fields of :class:`ammrg.inference.report_generator.ReportGenerator`, in its order."""


def load_parts(folder: Path, device: str | None = None) -> Parts:
    """Read a folder that :func:`ammrg.inference.saving.save` wrote, and check all of it.

    Args:
        folder: its path.
        device: for the networks; default: the current CUDA device where there is one, else the CPU.

    Raises:
        CheckpointError: the folder is missing or has another format or version, a file is missing or was changed,
            weights do not fit, or the hub's language model has other files.
        SettingsError: the language model cannot be loaded or run here.
        MemoryBankError: a memory belongs to another model.
    """
    config = verified(folder)
    processor = FilmProcessor(**read_json(folder / PROCESSOR))
    classifier = DiseaseClassifier.from_config(config["classifier"])
    classifier.encoder.check_films(processor.image_size)
    weights = read_tensors(folder / CLASSIFIER)
    load_strictly(classifier, weights, str(folder / CLASSIFIER))
    language_model = _load_language_model(folder, config["language_model"], device)
    known = ReportNetwork.__init__.__kwdefaults__ or {}
    unknown = sorted(set(config["generator"]) - set(known))
    if unknown:
        raise CheckpointError(
            f"{folder / CONFIG}: generator: this release does not know the setting {unknown[0]!r}; read the folder "
            "with the release that wrote it (provenance.versions), or export the run again with this one"
        )
    check_names(name for name in config["memories_trained_with"] if name not in MEMORIES)  # they become paths
    banks = {name: _load_bank(folder, config, name) for name in config["memories_trained_with"]}
    network = ReportNetwork(
        classifier,
        language_model,
        banks.get("visual"),
        banks.get("report"),
        {name: bank for name, bank in banks.items() if name not in MEMORIES},
        **config["generator"],
    )
    trained = read_tensors(folder / MODEL) | {f"classifier.{key}": tensor for key, tensor in weights.items()}
    load_strictly(network, trained, str(folder / MODEL))
    network.decoding = read_json(folder / DECODING)
    network.requires_grad_(False).eval()
    network.language_model.read_unpacked()
    if language_model.device.type != "cpu":
        network.to(language_model.device)
    dataset = str(config["provenance"].get("dataset", ""))
    named = config.get("influence_threshold")  # none in folders of earlier releases
    influence = None if named is None else InfluenceThresholds.from_json(named)
    method = config["map_method"]
    fingerprint = model_fingerprint(network, processor, method, influence)
    distance, curve = _load_distance(folder, config), _load_curve(folder, config)
    beats_constants = config.get("beats_constants")  # none in folders of earlier releases
    return network, processor, method, dataset, distance, influence, fingerprint, curve, beats_constants


def _load_language_model(folder: Path, named: Mapping[str, Any], device: str | None) -> LanguageModel:
    settings = {key: value for key, value in named.items() if key not in ("name", "revision")}
    if named["name"] is None:
        return LanguageModel(str(folder / LANGUAGE_MODEL), device=device, **settings)
    model = LanguageModel(named["name"], revision=named["revision"], device=device, **settings)
    found = model.identity["fingerprint"]
    if found != named["revision"]:
        raise CheckpointError(
            f"{folder / CONFIG}: language_model: {named['name']} has fingerprint {found}, but the network was trained "
            f"with {named['revision']}: the files differ; get that commit from the hub, or {AGAIN}"
        )
    return model


def _load_bank(folder: Path, config: Mapping[str, Any], name: str) -> MemoryBank:
    split = config["provenance"].get("split", {}).get("fingerprint")
    if not split:
        raise CheckpointError(
            f"{folder / CONFIG}: provenance.split: has no fingerprint of the validation and test studies that the "
            f"memories were checked against; {AGAIN}"
        )
    bank = bank_files.load(folder / memory_path(name), Unchecked(f"checked against split {split} when it was exported"))
    wanted = config["memories_trained_with"].get(name, "")
    if not bank.descends_from(wanted):
        raise MemoryBankError(
            f"{folder / memory_path(name)}.json: is bank {bank.fingerprint}, but the network was exported with bank "
            f"{wanted}; {AGAIN}"
        )
    return bank


def _load_distance(folder: Path, config: Mapping[str, Any]) -> FilmDistance | TooFewFilms | None:
    """Load the measure of distance, or why there is none; None where the folder does not say."""
    numbers = config.get("film_distance")
    if numbers is None:
        return None
    moments = read_tensors(folder / DISTANCE) if DISTANCE in config["files"] else {}
    return FilmDistance.from_state({**numbers, **moments}, str(folder / CONFIG))


def _load_curve(folder: Path, config: Mapping[str, Any]) -> OperatingCurve | None:
    """Load the operating curve; None where an earlier release wrote the folder."""
    kept = config.get("operating_curve")
    try:
        return None if kept is None else OperatingCurve.from_json(kept)
    except ValueError as error:
        raise CheckpointError(f"{folder / CONFIG}: operating_curve {error}; {AGAIN}") from error
