"""The text around the visual tokens: the tokenizer's own chat template, and the token ids that end a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ammrg.errors import SettingsError

IMAGES = "\N{OBJECT REPLACEMENT CHARACTER}images\N{OBJECT REPLACEMENT CHARACTER}"
"""Placeholder for the visual tokens while the chat template is rendered; no report or template contains it."""
END = "\N{OBJECT REPLACEMENT CHARACTER}report\N{OBJECT REPLACEMENT CHARACTER}"
"""Placeholder for the report when the template's end of an assistant turn is looked up."""


def token_ids(tokenizer: Any, text: str) -> list[int]:
    """Return the token ids of a text without BOS or EOS."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False) if text else []
    return ids


def prompt_ids(tokenizer: Any, instruction: str, name: str) -> tuple[list[int], list[int]]:
    """Return the token ids before and after the visual tokens, up to the beginning of the report.

    Without a chat template, these are BOS (where the tokenizer has one) and the plain instruction.

    Args:
        tokenizer: of transformers.
        instruction: the text after the visual tokens.
        name: of the model, for the message.

    Raises:
        SettingsError: the chat template leaves out the user's text.
    """
    if tokenizer.chat_template:
        turn = [{"role": "user", "content": f"{IMAGES}{instruction}"}]
        text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        before, found, after = text.partition(IMAGES)
        if not found:
            raise SettingsError(
                f"{name}: the chat template leaves out the user's text, so the model cannot be shown an image; choose "
                "another model"
            )
        return token_ids(tokenizer, before), token_ids(tokenizer, after)
    bos = [] if tokenizer.bos_token_id is None else [int(tokenizer.bos_token_id)]
    return bos, token_ids(tokenizer, f"{instruction}\n")


def stop_ids(tokenizer: Any, generation_config: Any, name: str) -> list[int]:
    """Return every token id that ends a text: the tokenizer's EOS and those in the model's generation settings.

    Raises:
        SettingsError: the model ``name`` has no such id.
    """
    named = getattr(generation_config, "eos_token_id", None)
    ids = [tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])]
    found = sorted({int(token) for token in ids if token is not None})
    if not found:
        raise SettingsError(f"{name}: neither tokenizer nor generation_config.json names an EOS token; set it there")
    return found


def end_of_turn(tokenizer: Any, stops: Sequence[int]) -> int:
    """Return the token id that ends a report.

    It is the first of ``stops`` (the ids that stop decoding) that the chat template writes after an assistant turn, or
    else EOS. Many chat models (Phi, Gemma, Qwen) end a turn with a token of their own, which is not always EOS.
    """
    if tokenizer.chat_template:
        turns = [{"role": "user", "content": IMAGES}, {"role": "assistant", "content": END}]
        after = tokenizer.apply_chat_template(turns, tokenize=False).split(END)[-1]
        for token in token_ids(tokenizer, after):
            if token in stops:
                return token
    return int(tokenizer.eos_token_id if tokenizer.eos_token_id is not None else stops[0])
