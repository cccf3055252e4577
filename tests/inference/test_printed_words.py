"""A report printed while it is written."""

from __future__ import annotations

import io

from ammrg.inference.printed_words import AGAIN, PrintedWords


def test_only_new_words_are_printed_and_lines_are_not_too_long() -> None:
    out = io.StringIO()
    words = PrintedWords(out, width=12)
    seen = []
    for text in ("No", "No acute", "No acute process", "No acute process. Clear lungs."):
        words(text)
        seen.append(out.getvalue())
    words.end()
    assert seen[0] == "\nreport\nNo"
    assert seen[1] == "\nreport\nNo acute"
    assert words.text == "No acute process. Clear lungs."
    assert out.getvalue() == "\nreport\nNo acute\nprocess.\nClear lungs.\n"


def test_another_draft_is_printed_as_one() -> None:
    out = io.StringIO()
    words = PrintedWords(out, width=80)
    for text in ("Left", "Left effusion.", "Right effusion."):
        words(text)
    words.end()
    assert out.getvalue() == f"\nreport\nLeft effusion.\n{AGAIN}\nRight effusion.\n"


def test_nothing_is_printed_of_no_text() -> None:
    out = io.StringIO()
    PrintedWords(out, width=80).end()
    assert out.getvalue() == ""
