from __future__ import annotations

import pytest

from ammrg.findings import is_unlabelled
from ammrg.text.blank import is_blank, scored_text, text_or_empty
from ammrg.text.labeler import label

NOTHING = (
    *(
        "",
        " \n\t",
        "nan",
        "NaN",
        "None",
        "none.",
        "NULL",
        "N/A",
        "n/a.",
        "#N/A",
        "<NA>",
        "---",
        "— —",
        ".",
        "...",
        "1.",
    ),
    *("No report.", "No report available", "Not available.", "FINDINGS: None.", "Impression: nan", "___", "XXXX XXXX."),
    *("\u200b", "\u00a0", "\ufeff", "(none)"),
    *("NaT", "nil", "undefined", "missing", "blank", "empty", "not applicable", "unavailable", "not reported"),
    *("not dictated", "none available", "no text", "no text available", "report not available", "no dictation"),
    *("pending", "report to follow", "withheld", "TBD", "N/D"),
)


@pytest.mark.parametrize(
    "text",
    [
        *NOTHING,
        "FINDINGS: IMPRESSION:",
        "FINDINGS: None. IMPRESSION: N/A",
        "nan nan",
        "Report pending.",
    ],
)
def test_what_says_nothing_is_empty_and_unlabelled(text: str) -> None:
    assert is_blank(text)
    assert text_or_empty(text) == scored_text(text) == ""
    assert is_unlabelled(label(text))


@pytest.mark.parametrize(
    "text",
    [
        "Normal.",
        "No effusion.",
        "None of the ribs is broken.",
        "Nan. Heart large.",
        "OK",
        "FINDINGS: Clear.",
        "FINDINGS: None. IMPRESSION: Edema.",
        "正常",
    ],
)
def test_what_says_little_says_something(text: str) -> None:
    assert not is_blank(text)
    assert text_or_empty(f" {text}\n") == text


def test_white_space_and_what_is_invisible_do_not_count() -> None:
    assert scored_text("No\u00a0 ef\u00adfusion\u200b.\n\tAir\u2011space ") == "No effusion. Air-space"
