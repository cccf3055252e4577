"""A text passed on word by word while the language model writes it."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

OnText = Callable[[str], None]
"""Called with all of a text that is written so far."""


class WordStream:
    """Passes on the text so far after each whole word: a streamer, which transformers' ``generate`` gives every token.

    A word counts as whole when the next one begins, because its last token may still change how it is spelt. So the
    last word is left to the caller, who has the whole text at the end.

    Args:
        decode: token ids -> their text.
        on_text: called with the text so far.
    """

    def __init__(self, decode: Callable[[list[int]], str], on_text: OnText) -> None:
        self._decode, self._on_text = decode, on_text
        self._ids: list[int] = []
        self._shown = ""

    def put(self, value: Tensor) -> None:
        """Take the next token ids of one text; none where its prompt is made of embeddings."""
        self._ids += value.flatten().tolist()
        whole, space, _ = self._decode(self._ids).rpartition(" ")
        if space and whole != self._shown:
            self._shown = whole
            self._on_text(whole)

    def end(self) -> None:
        """Do nothing: the caller has the whole text."""
