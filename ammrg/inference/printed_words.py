"""A report printed word by word on a terminal, while the language model writes it."""

from __future__ import annotations

import re
import shutil
import sys
from typing import TextIO

HEADING = "\nreport"
AGAIN = "written again, because it did not say what was found:"
WORD = re.compile(r"(\s*)(\S+)")


class PrintedWords:
    """Prints the new words of a text each time it is called with the text so far (:data:`OnText`).

    A text that does not go on from the one before is another draft: it is printed below, as written again.

    Args:
        out: where to print; default: stdout.
        width: columns of a line; default: those of the terminal.
    """

    def __init__(self, out: TextIO | None = None, width: int | None = None) -> None:
        self._out = out or sys.stdout
        self._width = width or shutil.get_terminal_size().columns
        self._column = 0
        self.text = ""
        """What is printed."""

    def __call__(self, text: str) -> None:
        """Print what is new in the text so far."""
        if not self.text:
            self._out.write(f"{HEADING}\n")
        elif not text.startswith(self.text):
            self._out.write(f"\n{AGAIN}\n")
            self.text, self._column = "", 0
        for space, word in WORD.findall(text[len(self.text) :]):
            if space and self._column + 1 + len(word) > self._width:
                self._out.write("\n")
                self._column = 0
            elif space and self._column:
                self._out.write(" ")
                self._column += 1
            self._out.write(word)
            self._column += len(word)
        self.text = text
        self._out.flush()

    def end(self) -> None:
        """End the last line."""
        if self._column:
            self._out.write("\n")
            self._column = 0
