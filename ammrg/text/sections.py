"""A MIMIC-CXR report cut into its sections by their headings.

The rules are those that MIT-LCP published with MIMIC-CXR (``txt/section_parser.py`` and ``txt/create_section_files.py``
of github.com/MIT-LCP/mimic-cxr), written anew: the official label tables were read from sections found this way, so
another cut would label other texts. Studies that the rules cannot read are data of the reader, not rules.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

HEADING = re.compile(r"\n[ ](?P<name>[-A-Z,/() ]+):\s")
"""One space, capitals, a colon, white space. Text starts and ends a heading's line, so a heading on the line straight
after a bare ``FINDINGS:`` belongs to its text: the line break between them is taken."""
PARAGRAPH = "\n \n"
"""A blank line of a report: it holds one space."""

PREAMBLE, WHOLE, LAST_PARAGRAPH = "preamble", "full report", "last_paragraph"
"""Text before the first heading; a report without headings; what follows the first blank line of the last section,
where no heading names findings or an impression."""
PRIORITY = ("impression", "findings", LAST_PARAGRAPH, "comparison")
"""Which section the official labels were read from: the first of these that a report has."""

SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "comparison": ("comparision", "comparisions", "comparrison", "comparsion", "reference exam"),
    "examination": ("exam", "type of examination"),
    "findings": ("findgings", "findindgs", "finding", "findins", "findngs", "findnings", "finidngs"),
    "history": ("clinical information", "pfi"),
    "impression": (
        *("conclusion", "imoression", "imperssion", "impession", "impresion", "impresson", "impressoin"),
        *("imprression", "imprssion", "mpression"),
        "ndication",  # As published; one report.
    ),
    "indication": ("clinical indication", "idication", "reason for exam", "reason for examination"),
    "recommendations": ("recommendation", "recommendation(s)"),
    "wet read": ("wetread",),
}
"""Section -> headings that mean it, in lower case, misspellings included."""
CONTAINED = ("impression", "findings", "history", "comparison", "addendum")
"""Any other heading with one of these words is that section, the first that fits: ``findings and impression`` is an
impression."""
VIEWS = (
    *("chest", "portable", "ribs", "bone window", "one view", "two views"),
    *("ap view", "pa view", "frontal view", "lateral view", "frontal and", "frontal upright", "frontal semi-upright"),
    *("ap and lateral", "pa and lat", "lateral and ap", "lateral and pa"),
)
"""Any other heading with one of these names the films and opens the findings: ``chest, two views``."""

_SECTION_OF = {spelling: section for section, spellings in SPELLINGS.items() for spelling in spellings}


def section_name(heading: str) -> str:
    """The section that a heading means; one that no rule knows is its own section, in lower case."""
    name = heading.strip().lower()
    if name in _SECTION_OF:
        return _SECTION_OF[name]
    contained = next((section for section in CONTAINED if section in name), None)
    if contained is not None:
        return contained
    return "findings" if any(view in name for view in VIEWS) else name


def sections(report: str) -> dict[str, str]:
    """The sections of a report: name -> text with its line breaks, without white space at its ends.

    Where a name stands twice the last one counts (a corrected report follows the text it corrects), but empty findings
    and impressions do not: a report's title may read like a heading of findings.

    Args:
        report: as it is handed out, lines ended by a bare line feed.
    """
    headings = list(HEADING.finditer(report))
    parts = [(PREAMBLE, report[: headings[0].start("name")]) if headings else (WHOLE, report)]
    ends = (*(heading.start() for heading in headings[1:]), len(report))
    for heading, end in zip(headings, ends, strict=False):  # no heading: an end alone
        parts.append((section_name(heading["name"]), report[heading.end() : end]))
    parts = [(name, text) for name, text in parts if text.strip() or name not in ("findings", "impression")]
    if not {"findings", "impression"} & {name for name, _ in parts}:
        name, text = parts.pop()
        first, blank, rest = text.partition(PARAGRAPH)
        parts += [(name, first), (LAST_PARAGRAPH, rest)] if blank else [(name, text)]
    return {name: text.strip() for name, text in parts}


def labelled_section(found: Mapping[str, str]) -> str:
    """The name of the section that the official labels were read from; empty where a report has none of
    :data:`PRIORITY`."""
    return next((name for name in PRIORITY if name in found), "")
