"""Text measured before it is drawn, in pixels or in a PDF: lines that are as wide as their place allows."""

from __future__ import annotations

from functools import cache
from itertools import accumulate

DPI = 100
"""Pixels of an inch, in all pictures."""
POINTS = 72
"""Points of an inch."""


def wrapped(content: str, room: float, size: float) -> list[str]:
    """The lines of a text, each at most this wide, where it is drawn at this size; a longer word is broken.

    Of a text of several lines, each hangs.

    Args:
        content: one line or more.
        room: in pixels.
        size: in points.
    """
    indent = "    " if "\n" in content else ""
    lines = []
    for paragraph in content.split("\n"):
        line, words = "", paragraph.split()[::-1]
        while words:
            word = words.pop()
            joined = f"{line} {word}" if line.strip() else line + word
            if text_width(joined, size) <= room:
                line = joined
            elif line.strip():
                lines.append(line)
                line = indent
                words.append(word)
            else:
                longest = max(1, fitting(line + word, room, size) - len(line))
                lines.append(line + word[:longest])
                line = indent
                words.append(word[longest:])
        if line.strip():
            lines.append(line)
    return lines


def text_width(text: str, size: float) -> float:
    """The width of a line in pixels, at a size in points."""
    return sum(_advance(letter, size) for letter in text)


def fitting(text: str, room: float, size: float, weight: str = "normal") -> int:
    """The number of a text's first letters that fit into this many pixels, at a size in points."""
    return sum(edge <= room for edge in accumulate(_advance(letter, size, weight) for letter in text))


@cache
def _advance(letter: str, size: float, weight: str = "normal") -> float:
    """The pixels that a letter takes in a line: as they are drawn, or in a PDF, where small letters are not rounded.

    The wider of both, so that a text fits in either.
    """
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    renderer, font = RendererAgg(1, 1, DPI), FontProperties(size=size, weight=weight)
    # Between two others: alone, only its ink would be measured, and a space has none.
    between, none = (
        (
            renderer.get_text_width_height_descent(text, font, False)[0],
            text_to_path.get_text_width_height_descent(text, font, False)[0] * DPI / POINTS,
        )
        for text in (f"|{letter}|", "||")
    )
    return float(max(wide - bare for wide, bare in zip(between, none, strict=True)))
