"""Which words of a report file are a section: line breaks, and the ranges of special cases."""

from __future__ import annotations

import json

from datamodules.sources import mimic_cxr, mimic_cxr_reports, mimic_cxr_tables
from tests.datamodules.mimic_cxr.raw_folder import STUDY, SUBJECT, add_study, by_id


def test_wrapped_lines_are_folded_and_the_indication_is_one_paragraph():
    report = "\n HISTORY:  Cough and\n fever.\n \n Lungs are clear.\n \n FINDINGS: \n \n No\n edema.\n \n Stable.\n"
    texts = mimic_cxr_reports.texts_of(report, STUDY)
    assert texts == ("No edema. Stable.", "", "Cough and fever.", "findings")
    both = mimic_cxr_reports.texts_of("\n HISTORY:  Old.\n INDICATION:  New.\n FINDINGS:  Clear.\n", STUDY)
    assert both.indication == "New."
    assert mimic_cxr_reports.texts_of("\n HISTORY:  Old.\n INDICATION: \n", STUDY).indication == "Old."


class TestSpecialCases:
    REPORT = "\n EXAMINATION:  Clear lungs.\n \n INDICATION:  Cough.\n \n IMPRESSION:  See above.\n"

    def test_the_shipped_table(self):
        table = json.loads(mimic_cxr_reports.SPECIAL_CASES.read_text())
        assert "MIT" in table["license"]
        assert "MIT-LCP/mimic-cxr" in table["source"]
        assert (len(table["sections"]), len(table["characters"])) == (23, 31)
        assert not table["sections"].keys() & table["characters"].keys()
        assert all(
            mimic_cxr_tables.IDS["study_id"].fullmatch(study_id) for study_id in mimic_cxr_reports.special_cases()
        )
        assert all(0 <= start <= stop for start, stop in table["characters"].values())

    def test_a_forced_section_is_the_findings(self):
        assert mimic_cxr_reports.special_cases()["59363654"] == "examination"
        texts = mimic_cxr_reports.texts_of(self.REPORT, "59363654")
        assert texts == ("Clear lungs.", "", "", "special case")
        assert mimic_cxr_reports.texts_of(self.REPORT, STUDY).impression == "See above."
        assert mimic_cxr_reports.texts_of("\n IMPRESSION:  Clear.\n", "59363654").findings == ""

    def test_forced_characters_are_the_findings(self):
        start, stop = mimic_cxr_reports.special_cases()["50196495"]
        report = ("x" * start + "Clear lungs.").ljust(stop) + " IMPRESSION:  Not this.\n"
        texts = mimic_cxr_reports.texts_of(report, "50196495")
        assert texts == ("Clear lungs.", "", "", "special case")

    def test_a_report_that_describes_nothing_is_left_out(self, raw):
        assert mimic_cxr_reports.special_cases()["58235663"] == (0, 0)
        add_study(raw, "\n FINDINGS:  See the other report.\n", study_id="58235663")
        reading = mimic_cxr.read(raw)
        assert "58235663" not in by_id(reading)
        assert reading.notes["without_text"] == 1

    def test_they_are_data(self, monkeypatch, tmp_path):
        (tmp_path / "cases.json").write_text(json.dumps({"sections": {STUDY: "indication"}, "characters": {}}))
        mimic_cxr_reports.special_cases.cache_clear()
        monkeypatch.setattr(mimic_cxr_reports, "SPECIAL_CASES", tmp_path / "cases.json")
        try:
            assert mimic_cxr_reports.texts_of(self.REPORT, STUDY).findings == "Cough."
            assert mimic_cxr_reports.texts_of(self.REPORT, "59363654").impression == "See above."
        finally:
            mimic_cxr_reports.special_cases.cache_clear()


def test_ranges_count_bare_line_feeds(raw):
    add_study(raw, "")
    next((raw / "files").rglob(f"s{STUDY}.txt")).write_bytes(b"\r\n FINDINGS:  Clear\r\n lungs.\r\n")
    assert by_id(mimic_cxr.read(raw))[STUDY].findings == "Clear lungs."
    with mimic_cxr_reports.Reports(raw) as reports:
        assert reports.text(SUBJECT, STUDY) == "\n FINDINGS:  Clear\n lungs.\n"
