"""Kinds of the reasons why films are set aside: for logs and counts, which must not repeat what a file says."""

from __future__ import annotations

import re

KINDS = (
    ("same_image", r"^the same image as |^for processing; "),
    ("two_patients", r"its study is of two patients"),
    ("other_body_part", r"only films of the chest are read"),
    ("other_modality", r"Modality is "),
    ("colour", r"in colour|PhotometricInterpretation is |holds \d+ frames|colour with 16 bits"),
    ("beyond_limit", r"more than the .* (may have|are read)|has at most"),
    (
        "no_film",
        r"its content is no whole|the file is empty|without pixels|a film has at least|without contrast|nothing to see",
    ),
    ("archive", r"zip archive|cannot be unpacked|leads out of the archive"),
    ("ends_the_program", r"^it ended the program"),
    ("damaged", r"cannot be decoded"),
)
"""Kind -> pattern of the sentences; the first that is found counts."""
OTHER = "other"


def kind_of(reason: str) -> str:
    """Return the kind of a reason why a film or study was set aside: a name of :data:`KINDS`, or ``other``."""
    return next((kind for kind, pattern in KINDS if re.search(pattern, reason)), OTHER)
