"""How texts are decoded: settings checked before a run, and penalties that do not look at a row's padding."""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from ammrg.errors import SettingsError

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
"""What the language model itself sets: its tokens, one text a study."""


def check_decoding(settings: Mapping[str, Any]) -> None:
    """Refuse what would fail, or be ignored, once texts are written.

    Args:
        settings: fields of transformers' GenerationConfig.

    Raises:
        SettingsError: an unknown field, a value out of range, or fields that do not go together.
    """
    from transformers import GenerationConfig

    known = {name for name in vars(GenerationConfig()) if not name.startswith("_")} - {*OUR_OWN, "transformers_version"}
    for name, value in settings.items():
        if name not in known:
            raise SettingsError(f"decoding.{name}: no such field; transformers' GenerationConfig names them")
        if name in ABOVE_ZERO and value is not None and not value > 0:
            raise SettingsError(f"decoding.{name} ({value}) must be above 0")
    if settings.get("do_sample") and (settings.get("num_beams") or 1) > 1:
        raise SettingsError(
            f"decoding: do_sample draws one text, num_beams ({settings['num_beams']}) searches; choose one"
        )
    fewest, most = settings.get("min_new_tokens"), settings.get("max_new_tokens")
    if fewest is not None and most is not None and fewest > most:
        raise SettingsError(f"decoding.min_new_tokens ({fewest}) is above decoding.max_new_tokens ({most})")
    log = logging.getLogger("transformers.generation.configuration_utils")
    level = log.level
    log.setLevel(logging.ERROR)  # it would warn of what it then refuses
    try:
        GenerationConfig(**settings).validate(strict=True)
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"decoding: {reason}") from error
    finally:
        log.setLevel(level)


def repetition_penalty(settings: MutableMapping[str, Any]) -> LogitsProcessorList:
    """``repetition_penalty`` (Keskar et al. 2019), taken out of ``settings``, on the text written so far. Given to
    transformers by name, it would let a row of a batch repeat as many tokens as it is padded by: beside embeddings of a
    prompt there are no ids that it could leave out."""
    from transformers import LogitsProcessorList
    from transformers.generation.logits_process import RepetitionPenaltyLogitsProcessor

    penalty = settings.pop("repetition_penalty", None)
    return LogitsProcessorList([] if penalty is None else [RepetitionPenaltyLogitsProcessor(float(penalty))])
