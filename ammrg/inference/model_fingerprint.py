"""The fingerprint of a report generator: two with the same one write the same report of the same films."""

from __future__ import annotations

from ammrg.fingerprints import json_fingerprint, tensors_fingerprint
from ammrg.imaging.processor import FilmProcessor
from ammrg.networks.report_network import ReportNetwork
from ammrg.reasons import InfluenceThresholds


def model_fingerprint(
    network: ReportNetwork, processor: FilmProcessor, map_method: str, influence: InfluenceThresholds | None
) -> str:
    """Return 16 hex digits: of the trained weights, stage 1, the memories, the language model and all settings.

    A run and its export have the same one, unless the export's memories were stripped of ids and texts.
    """
    settings = dict(network.config)
    if settings.get("two_step"):  # the folder of its search index differs between machines
        settings["two_step"] = {name: value for name, value in settings["two_step"].items() if name != "folder"}
    banks = [None if bank is None else bank.fingerprint for bank in network.known_banks.values()]
    language_model = network.language_model.identity
    return json_fingerprint(
        {
            "weights": tensors_fingerprint(dict(network.trained_state_dict())),
            "classifier": tensors_fingerprint(dict(network.classifier.state_dict())),
            "memories": banks,
            "language_model": [language_model["fingerprint"], language_model["quantization"]],
            "settings": [settings, network.decoding, processor._asdict(), map_method],
            "influence": None if influence is None else influence._asdict(),
        }
    )
