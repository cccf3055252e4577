"""Sections of a MIMIC-CXR report, found by their headings.

This is a new implementation of the rules that MIT-LCP published with MIMIC-CXR (``txt/section_parser.py`` and
``txt/create_section_files.py`` of github.com/MIT-LCP/mimic-cxr). The official labels were read from sections found by
these rules, so other rules would label other texts. The reader of the data set lists the studies that they misread.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

HEADING = re.compile(r"\n[ ](?P<name>[-A-Z,/() ]+):\s")
"""A heading: one space, capitals, a colon, white space. The match includes the white space after the colon, and so the
line break after a bare ``FINDINGS:``. A heading on the very next line is therefore text of that section."""
PARAGRAPH = "\n \n"
"""A blank line of a report: it contains one space."""

PREAMBLE, WHOLE, LAST_PARAGRAPH = "preamble", "full report", "last_paragraph"
"""Names of sections without a heading: the text before the first heading; a report without headings; and, if no heading
names findings or an impression, the text after the first blank line of the last section."""
PRIORITY = ("impression", "findings", LAST_PARAGRAPH, "comparison")
"""The official labels were read from the first of these sections that a report has."""

SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "comparison": ("comparision", "comparisions", "comparrison", "comparsion", "reference exam"),
    "examination": ("exam", "type of examination"),
    "findings": ("findgings", "findindgs", "finding", "findins", "findngs", "findnings", "finidngs"),
    "history": ("clinical information", "pfi"),
    "impression": (
        *("conclusion", "imoression", "imperssion", "impession", "impresion", "impresson", "impressoin"),
        *("imprression", "imprssion", "mpression"),
        "ndication",  # as published, for one report
    ),
    "indication": ("clinical indication", "idication", "reason for exam", "reason for examination"),
    "recommendations": ("recommendation", "recommendation(s)"),
    "wet read": ("wetread",),
}
"""Section -> headings that mean it, in lower case, with their misspellings."""
CONTAINED = ("impression", "findings", "history", "comparison", "addendum")
"""Any other heading that contains one of these words is that section; the first match counts, so
``findings and impression`` is an impression."""
VIEWS = (
    *("chest", "portable", "ribs", "bone window", "one view", "two views"),
    *("ap view", "pa view", "frontal view", "lateral view", "frontal and", "frontal upright", "frontal semi-upright"),
    *("ap and lateral", "pa and lat", "lateral and ap", "lateral and pa"),
)
"""Any other heading that contains one of these names the films and starts the findings: ``chest, two views``."""

_SECTION_OF = {spelling: section for section, spellings in SPELLINGS.items() for spelling in spellings}


def section_name(heading: str) -> str:
    """The section that a heading means. A heading that no rule knows is its own section, in lower case."""
    name = heading.strip().lower()
    if name in _SECTION_OF:
        return _SECTION_OF[name]
    contained = next((section for section in CONTAINED if section in name), None)
    if contained is not None:
        return contained
    return "findings" if any(view in name for view in VIEWS) else name


def sections(report: str) -> dict[str, str]:
    """The sections of a report: name -> text with its line breaks, without white space at its ends.

    If a name occurs twice, the last section counts, because a corrected report follows the text it corrects. Empty
    findings and impressions do not count, because a report's title may look like a heading of findings.

    Args:
        report: as distributed; each line ends with a line feed alone.
    """
    headings = list(HEADING.finditer(report))
    parts = [(PREAMBLE, report[: headings[0].start("name")]) if headings else (WHOLE, report)]
    ends = (*(heading.start() for heading in headings[1:]), len(report))
    for heading, end in zip(headings, ends, strict=False):  # without headings there is still one end
        parts.append((section_name(heading["name"]), report[heading.end() : end]))
    parts = [(name, text) for name, text in parts if text.strip() or name not in ("findings", "impression")]
    if not {"findings", "impression"} & {name for name, _ in parts}:
        name, text = parts.pop()
        first, blank, rest = text.partition(PARAGRAPH)
        parts += [(name, first), (LAST_PARAGRAPH, rest)] if blank else [(name, text)]
    return {name: text.strip() for name, text in parts}


def labelled_section(found: Mapping[str, str]) -> str:
    """The name of the section that the official labels were read from; empty if it has none of :data:`PRIORITY`."""
    return next((name for name in PRIORITY if name in found), "")
