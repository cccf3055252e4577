"""Where the end of a line ends a sentence, mark or no mark."""

from __future__ import annotations

ENDING_LINE = r"\n(?:\s*\n|(?=\s*[-*•–·]\s)|(?=\s*\(?\d{1,2}[.)]\s*[A-Za-z]{2})|(?=\s*[A-Z][\w ,/()-]{0,40}:))"
"""Regex of a line's end before a blank line, an item of a list (a dash, a dot or a number), or a field of a form
("Heart: large"). Elsewhere lines are broken where they are full."""
