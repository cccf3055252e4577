"""Sections of invented reports, by MIMIC-CXR's published rules."""

from __future__ import annotations

import pytest

from ammrg.text.sections import labelled_section, section_name, sections

TITLE = " " * 33 + "FINAL REPORT"


def report(*lines: str) -> str:
    """A title, then the lines, each with the one leading space of the printed form; an empty one is a blank line."""
    return "\n".join([TITLE, *(f" {line}" for line in lines)]) + "\n"


def test_each_heading_opens_a_section_up_to_the_next() -> None:
    found = sections(
        report(
            "EXAMINATION:  CHEST (PA AND LAT)",
            "",
            "INDICATION:  Cough for a week.",
            "",
            "COMPARISON:  ___",
            "",
            "FINDINGS: ",
            "",
            "The lungs are clear.  The heart is",
            "of normal size.",
            "",
            "No effusion.",
            "",
            "IMPRESSION:  Normal chest.",
        )
    )
    assert found == {
        "preamble": "FINAL REPORT",
        "examination": "CHEST (PA AND LAT)",
        "indication": "Cough for a week.",
        "comparison": "___",
        "findings": "The lungs are clear.  The heart is\n of normal size.\n \n No effusion.",
        "impression": "Normal chest.",
    }
    assert labelled_section(found) == "impression"


@pytest.mark.parametrize(
    ("heading", "name"),
    [
        ("IMPRESSION", "impression"),
        ("CONCLUSION", "impression"),
        ("IMPRESSOIN", "impression"),
        ("FINDINGS AND IMPRESSION", "impression"),
        ("FINDINGS/IMPRESSION", "impression"),
        ("FINDING", "findings"),
        ("CHEST, TWO VIEWS", "findings"),
        ("PORTABLE AP VIEW", "findings"),
        ("PA AND LAT", "findings"),
        ("REASON FOR EXAM", "indication"),
        ("CLINICAL HISTORY", "history"),
        ("CLINICAL INFORMATION", "history"),
        ("REFERENCE EXAM", "comparison"),
        ("COMPARISON STUDY", "comparison"),
        ("TYPE OF EXAMINATION", "examination"),
        ("RECOMMENDATION(S)", "recommendations"),
        ("WETREAD", "wet read"),
        ("SECOND ADDENDUM", "addendum"),
        ("TECHNIQUE", "technique"),
        (" NOTE ", "note"),
    ],
)
def test_headings_are_read_as_the_section_they_mean(heading: str, name: str) -> None:
    assert section_name(heading) == name


def test_the_last_of_a_name_counts() -> None:
    found = sections(
        report(
            "ADDENDUM:  Corrected side.",
            "",
            "IMPRESSION:  Left effusion.",
            "______________________________________________________________________________",
            TITLE,
            "FINDINGS:  Blunted angle.",
            "",
            "IMPRESSION:  Right effusion.",
            "",
            "WET READ: ___ 9:01 PM",
            " Seen at night.",
        )
    )
    assert found["impression"] == "Right effusion."
    assert found["addendum"] == "Corrected side."
    assert found["wet read"] == "___ 9:01 PM\n  Seen at night."


def test_empty_findings_do_not_hide_those_before() -> None:
    found = sections(report("FINDINGS:  Clear lungs.", "", "CHEST, PA AND LATERAL: ", "", "TECHNIQUE:  Upright."))
    assert found["findings"] == "Clear lungs."
    title_like = sections(report("CHEST, PA AND LATERAL: ", "", "INDICATION:  Cough.", "", "FINDINGS:  Clear lungs."))
    assert title_like["findings"] == "Clear lungs."
    assert title_like["indication"] == "Cough."


def test_without_findings_and_impression_the_last_section_gives_its_last_paragraph() -> None:
    found = sections(report("INDICATION:  Cough.", "", "COMPARISON:  None.", "", "Clear lungs.", "", "No effusion."))
    assert found["comparison"] == "None."
    assert found["last_paragraph"] == "Clear lungs.\n \n No effusion."
    assert labelled_section(found) == "last_paragraph"
    alone = sections(report("COMPARISON:  None.  Clear lungs."))
    assert "last_paragraph" not in alone
    assert labelled_section(alone) == "comparison"


def test_no_last_paragraph_where_findings_stand() -> None:
    found = sections(report("FINDINGS:  Clear lungs.", "", "TECHNIQUE:  Upright.", "", "Signed."))
    assert "last_paragraph" not in found
    assert found["technique"] == "Upright.\n \n Signed."
    assert labelled_section(found) == "findings"


def test_a_report_without_headings() -> None:
    assert sections("Clear lungs.") == {"full report": "Clear lungs."}
    found = sections(report("", "The lungs are clear."))
    assert found == {"full report": "FINAL REPORT", "last_paragraph": "The lungs are clear."}
    assert sections("") == {"full report": ""}
    assert labelled_section(sections("")) == ""


@pytest.mark.parametrize(
    "line",
    [
        "Note: clear.",  # not in capitals
        "___ VIEWS: clear.",  # underscores
        "VIEWS 2: clear.",  # a digit
        "AT 9:01 clear.",
        "RATIO:clear.",  # no white space after the colon
    ],
)
def test_what_is_no_heading_stays_text(line: str) -> None:
    found = sections(report("FINDINGS:  First.", line))
    assert list(found) == ["preamble", "findings"]
    assert line.strip() in found["findings"]


def test_a_heading_needs_its_leading_space_and_a_line_before_it() -> None:
    assert list(sections("\n FINDINGS: Clear.\nIMPRESSION: Normal.\n")) == ["preamble", "findings"]
    assert list(sections(" FINDINGS: Clear.")) == ["full report"]


def test_a_heading_straight_under_a_bare_one_is_its_text() -> None:
    under = sections(report("FINDINGS:", "PORTABLE CHEST: Clear lungs.", "IMPRESSION: Normal."))
    assert under["findings"] == "PORTABLE CHEST: Clear lungs."
    assert under["impression"] == "Normal."
    # A space after the colon is taken instead of the line break.
    after = sections(report("COMPARISON: ", "FINDINGS: Clear lungs."))
    assert after["comparison"] == ""
    assert after["findings"] == "Clear lungs."
