"""Line ends that end a sentence, even without a punctuation mark."""

from __future__ import annotations

ENDING_LINE = r"\n(?:\s*\n|(?=\s*[-*•–·]\s)|(?=\s*\(?\d{1,2}[.)]\s*[A-Za-z]{2})|(?=\s*[A-Z][\w ,/()-]{0,40}:))"
"""Regex of a line end before a blank line, a list item (a dash, a bullet or a number), or a form field
("Heart: large"). Any other line end only wraps the text."""
