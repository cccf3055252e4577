"""The words around the visual tokens: the tokenizer's own chat template, and the ids that end a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ammrg.errors import SettingsError

IMAGES = "\N{OBJECT REPLACEMENT CHARACTER}images\N{OBJECT REPLACEMENT CHARACTER}"
"""Stands for the visual tokens while the chat template is rendered; no report or template holds it."""
END = "\N{OBJECT REPLACEMENT CHARACTER}report\N{OBJECT REPLACEMENT CHARACTER}"
"""Stands for the report where the template's end of an assistant turn is looked for."""


def token_ids(tokenizer: Any, text: str) -> list[int]:
    """The ids of a text alone, without BOS or EOS."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False) if text else []
    return ids


def prompt_ids(tokenizer: Any, instruction: str, name: str) -> tuple[list[int], list[int]]:
    """Token ids before and after the visual tokens, up to where the report begins.

    A tokenizer without a chat template gets BOS (where it has one) before the visual tokens and the bare instruction
    after them.

    Raises:
        SettingsError: the chat template of the model ``name`` drops what the user says.
    """
    if tokenizer.chat_template:
        turn = [{"role": "user", "content": f"{IMAGES}{instruction}"}]
        text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        before, found, after = text.partition(IMAGES)
        if not found:
            raise SettingsError(f"{name}: the chat template drops the user's words, so no image can be shown")
        return token_ids(tokenizer, before), token_ids(tokenizer, after)
    bos = [] if tokenizer.bos_token_id is None else [int(tokenizer.bos_token_id)]
    return bos, token_ids(tokenizer, f"{instruction}\n")


def stop_ids(tokenizer: Any, generation_config: Any, name: str) -> list[int]:
    """Every id that ends a text: the tokenizer's EOS and those the model's generation settings name.

    Raises:
        SettingsError: the model ``name`` has none.
    """
    named = getattr(generation_config, "eos_token_id", None)
    ids = [tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])]
    found = sorted({int(token) for token in ids if token is not None})
    if not found:
        raise SettingsError(f"{name}: neither tokenizer nor generation_config.json names an EOS token; set it there")
    return found


def end_of_turn(tokenizer: Any, stops: Sequence[int]) -> int:
    """The id that ends a report: what the chat template puts after an assistant turn, where that id stops decoding
    (``stops``), else EOS. Chat models end a turn with their own token (Phi, Gemma, Qwen), which is not always EOS."""
    if tokenizer.chat_template:
        turns = [{"role": "user", "content": IMAGES}, {"role": "assistant", "content": END}]
        after = tokenizer.apply_chat_template(turns, tokenize=False).split(END)[-1]
        for token in token_ids(tokenizer, after):
            if token in stops:
                return token
    return int(tokenizer.eos_token_id if tokenizer.eos_token_id is not None else stops[0])
