"""Decoding: a check of its settings before a run, and a repetition penalty that ignores padding."""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from ammrg.errors import SettingsError
from ammrg.log_levels import heard_from

if TYPE_CHECKING:
    from transformers import LogitsProcessorList

ABOVE_ZERO = ("temperature", "repetition_penalty", "num_beams", "max_new_tokens", "top_k", "top_p")
OUR_OWN = (
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "return_dict_in_generate",
    "max_length",
    "num_return_sequences",
)
"""Fields that the language model sets itself: its special tokens, and one text per study."""
DRAFTS = "drafts"
"""The one field that is not transformers': see :mod:`ammrg.networks.checked_drafts`."""


def check_decoding(settings: Mapping[str, Any]) -> None:
    """Refuse settings that would fail or be ignored when texts are generated.

    Args:
        settings: fields of transformers' GenerationConfig, and :data:`DRAFTS`.

    Raises:
        SettingsError: a field is unknown, a value is out of range, or fields contradict each other.
    """
    from transformers import GenerationConfig

    settings = dict(settings)
    if (drafts := settings.pop(DRAFTS, None) or 0) < 0:
        raise SettingsError(f"decoding.{DRAFTS} ({drafts}) must be at least 0")
    known = {name for name in vars(GenerationConfig()) if not name.startswith("_")} - {*OUR_OWN, "transformers_version"}
    for name, value in settings.items():
        if name not in known:
            raise SettingsError(f"decoding.{name}: no such field in transformers' GenerationConfig; correct the name")
        if name in ABOVE_ZERO and value is not None and not value > 0:
            raise SettingsError(f"decoding.{name} ({value}) must be above 0")
    if settings.get("do_sample") and (settings.get("num_beams") or 1) > 1:
        raise SettingsError(
            f"decoding: do_sample draws one text, num_beams ({settings['num_beams']}) searches; choose one"
        )
    fewest, most = settings.get("min_new_tokens"), settings.get("max_new_tokens")
    if fewest is not None and most is not None and fewest > most:
        raise SettingsError(f"decoding.min_new_tokens ({fewest}) is above decoding.max_new_tokens ({most})")
    try:
        # Otherwise it would also warn of what it refuses.
        with heard_from(logging.ERROR, "transformers.generation.configuration_utils"):
            GenerationConfig(**settings).validate(strict=True)
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"decoding: {reason}") from error


def repetition_penalty(settings: MutableMapping[str, Any]) -> LogitsProcessorList:
    """Take ``repetition_penalty`` (Keskar et al. 2019) out of the settings, as a processor of the text so far.

    Where transformers makes this processor itself, it ignores the first ids of each row, as many as its padding. With a
    prompt of embeddings, these ids are not padding but the beginning of the text, which could then be repeated.
    """
    from transformers import LogitsProcessorList
    from transformers.generation.logits_process import RepetitionPenaltyLogitsProcessor

    penalty = settings.pop("repetition_penalty", None)
    return LogitsProcessorList([] if penalty is None else [RepetitionPenaltyLogitsProcessor(float(penalty))])
