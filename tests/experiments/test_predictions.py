"""Predictions files of any system, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ammrg.errors import ScoringError
from ammrg.evaluation.prediction_files import study_rows
from ammrg.evaluation.predictions import Line, read_lines, read_references, read_systems, read_train_texts


def rows(count: int = 3) -> list[dict[str, Any]]:
    return [
        {"study_id": f"s{i}", "subject_id": f"p{i}", "reference": f"Reference, {i}.", "generated": f"Said {i}."}
        for i in range(count)
    ]


def changed(**changes: Any) -> list[dict[str, Any]]:
    found = rows()
    found[1] |= changes
    return found


def jsonl(path: Path, content: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    return path


EXPECTED = [Line(f"s{i}", f"p{i}", f"Reference, {i}.", f"Said {i}.") for i in range(3)]


def test_the_three_layouts_read_alike(tmp_path: Path) -> None:
    assert read_lines(jsonl(tmp_path / "a.jsonl", rows()[::-1])) == EXPECTED
    table = tmp_path / "a.csv"
    body = "".join(f'"Said {i}.",s{i},"Reference, {i}.",p{i}\r\n' for i in (2, 0, 1))
    table.write_text(f"\ufeffgenerated,study_id,reference,subject_id\r\n{body}", encoding="utf-8")
    assert read_lines(table) == EXPECTED
    rexrank = tmp_path / "a.json"
    rexrank.write_text(
        json.dumps(
            {
                f"s{i}": {
                    "model_prediction": f"Said {i}.",
                    "section_findings": f"Reference, {i}.",
                    "subject_id": f"p{i}",
                }
                for i in range(3)
            }
        )
    )
    assert read_lines(rexrank) == [line._replace(reference=f"Findings: {line.reference}") for line in EXPECTED]


def test_json_may_be_a_list_or_an_object_for_each_study_with_names_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(rows()[::-1]))
    assert read_lines(path) == EXPECTED
    keyed = {row["study_id"]: {name: value for name, value in row.items() if name != "study_id"} for row in rows()}
    path.write_text(json.dumps(keyed))
    assert read_lines(path) == EXPECTED
    columns = {"study_id": "study", "generated": "text", "reference": "truth", "subject_id": "patient"}
    others = [{columns.get(name, name): value for name, value in row.items()} for row in rows()]
    for content in (others, {row.pop("study"): row for row in json.loads(json.dumps(others))}):
        path.write_text(json.dumps(content))
        assert [{name: row[name] for name in columns} for _, row in study_rows(path, columns)] == rows()
        with pytest.raises(ScoringError, match="no field 'said' \\(nor 'generated'\\), which --columns names; found"):
            list(study_rows(path, {**columns, "generated": "said"}, {"generated"}))


def test_rexrank_joins_the_sections_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    fields = {
        "model_prediction": "x",
        "section_findings": float("nan"),
        "section_impression": "Clear.",
        "subject_id": 7,
    }
    path.write_text(json.dumps({"s": fields}))  # NaN as their files have it
    assert read_lines(path) == [Line("s", "7", "Impression: Clear.", "x")]


def test_a_text_that_says_nothing_is_empty_and_white_space_is_one_space(tmp_path: Path) -> None:
    texts = ("nan", "None", " --- ", "N/A", "No\u00a0effusion.\n\tClear.\u200b")
    written = [{"study_id": str(i), "reference": "Clear.\n\nNo edema.", "generated": t} for i, t in enumerate(texts)]
    found = read_lines(jsonl(tmp_path / "a.jsonl", written))
    assert [line.generated for line in found] == ["", "", "", "", "No effusion. Clear."]
    assert {line.reference for line in found} == {"Clear. No edema."}


def test_without_patients_each_study_is_its_own(tmp_path: Path) -> None:
    bare = [{key: row[key] for key in ("study_id", "reference", "generated")} for row in rows()]
    assert [line.subject_id for line in read_lines(jsonl(tmp_path / "a.jsonl", bare))] == ["s0", "s1", "s2"]


def test_space_around_an_id_is_no_part_of_it(tmp_path: Path) -> None:
    spaced = [row | {"study_id": f" {row['study_id']} ", "subject_id": f"{row['subject_id']}\t"} for row in rows()]
    assert read_lines(jsonl(tmp_path / "a.jsonl", spaced)) == EXPECTED
    references = read_references(jsonl(tmp_path / "a.jsonl", spaced))
    assert read_lines(jsonl(tmp_path / "b.jsonl", rows()), references) == EXPECTED


def test_patients_are_taken_from_whichever_file_names_them(tmp_path: Path) -> None:
    named = jsonl(tmp_path / "named.jsonl", rows())
    bare = jsonl(tmp_path / "bare.jsonl", [{k: v for k, v in row.items() if k != "subject_id"} for row in rows()])
    for reports, other in ((named, bare), (bare, named)):
        assert [system.lines for system in read_systems(reports, [other])] == [EXPECTED, EXPECTED]
    others = jsonl(tmp_path / "others.jsonl", changed(subject_id="p9"))
    with pytest.raises(ScoringError, match="study s1 has another reference or subject_id"):
        read_systems(bare, [named, others])


@pytest.mark.parametrize(
    ("told", "expected"), [("TRUE", True), ("1", True), ("False", False), ("0", False), ("", None)]
)
def test_truth_as_tables_write_it(tmp_path: Path, told: str, expected: bool | None) -> None:
    table = tmp_path / "a.csv"
    table.write_text(f"study_id,generated,reference,reference_in_training\ns0,a,b,{told}\n")
    assert read_lines(table)[0].reference_in_training is expected


def test_an_escaped_pair_is_a_character(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"study_id": "s0", "reference": "b", "generated": "\\ud83e\\udec1 clear"}\n')
    assert read_lines(path)[0].generated == "\U0001fac1 clear"


def test_references_of_another_file(tmp_path: Path) -> None:
    references = read_references(jsonl(tmp_path / "references.jsonl", rows()))
    said = tmp_path / "a.csv"
    said.write_text("study_id,generated\n" + "".join(f"s{i},Said {i}.\n" for i in range(3)))
    assert read_lines(said, references) == EXPECTED
    said.write_text("study_id,generated\ns0,Said 0.\n")
    with pytest.raises(ScoringError, match=r"lacks 2 studies of the references file \(first: s1\)"):
        read_lines(said, references)
    said.write_text("study_id,generated\ns9,Said 0.\n")
    with pytest.raises(ScoringError, match="study 's9' is not in the references file"):
        read_lines(said, references)
    with pytest.raises(ScoringError, match="s0 occurs twice"):
        read_references(jsonl(tmp_path / "references.jsonl", rows() + rows()))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(study_id="s0"), "line 2: study s0 occurs twice"),
        (changed(study_id=""), "line 2: field 'study_id' is empty"),
        (changed(study_id=1.5), "line 2: field 'study_id' is 1.5"),
        (changed(reference="  "), "line 2: study s1 has an empty reference"),
        (changed(reference="nan"), "line 2: study s1 has the reference 'nan', which says nothing; leave"),
        (changed(reference=None), "line 2: study s1 has an empty reference"),
        (changed(study_id=None), r"line 2: field 'study_id' has no value \(null, None\); every study needs one"),
        ([*rows(), {"study_id": "s9"}], "line 4: no field 'generated'; found study_id. Name the file's own with"),
        (changed(split="val"), "several splits"),
        (changed(subject_id=None), "'subject_id' is given for some studies only"),
        (changed(study_id="s0 "), "line 2: study s0 occurs twice"),
        (changed(study_id=" "), "line 2: field 'study_id' is empty"),
        (changed(subject_id="  "), "'subject_id' is given for some studies only"),
        (changed(split=["a"]), r"line 2: field 'split' is \['a'\]"),
        (changed(generated="\ud800"), r"line 2: '\\ud800' is half of a character"),
        (changed(reports=[{"text": "\udfff"}]), r"line 2: '\\udfff' is half of a character"),
        (changed(reference_in_training="perhaps"), "'reference_in_training' is 'perhaps'"),
        (changed(reference_in_training=[]), "'reference_in_training' is "),
        (changed(reports="text"), "'reports' must be a list"),
        ([], "the file is empty"),
        ([[1]], "each line must be one JSON object"),
    ],
)
def test_refuses_a_broken_file(tmp_path: Path, content: list[Any], message: str) -> None:
    with pytest.raises(ScoringError, match=message):
        read_lines(jsonl(tmp_path / "reports.jsonl", content))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"hello\n", "line 1: not JSON"),
        (
            "a.jsonl",
            b"\xff\xfe",
            r"a\.jsonl, line 1: not text in UTF-8; save the file as UTF-8 \(in Excel: CSV UTF-8\)",
        ),
        ("a.csv", "id,text\nx,é\n".encode("cp1252"), r"a\.csv, line 2: not text in UTF-8"),
        ("a.xlsx", b"", r"predictions are read from .* Save the spreadsheet as CSV\."),
        ("a.CSV", b"", r"predictions are read from .* Write the ending in small letters\."),
        ("a.txt", b"", r"predictions are read from \.jsonl: .*\.csv: .*\.json: "),
        ("a.csv", b" \n", "the file is empty"),
        ("a.csv", b"id,generated\n", "no field 'study_id'; found id, generated"),
        (
            "a.csv",
            b"Study ID,generated\n",
            "found Study ID, generated; rename 'Study ID' to 'study_id'. Name the file's",
        ),
        ("a.csv", b"PK\x03\x04rest", "an Excel workbook or another zip archive; save the table as CSV"),
        ("a.csv", "study_id".encode("utf-16-le"), r"as text in UTF-16 does; save the file as UTF-8 \(in Ex"),
        ("a.xlsx", b"PK\x03\x04rest", "an Excel workbook or another zip archive; save the table as CSV"),
        ("a.docx", b"PK\x03\x04rest", "a Word document; write the reports as .jsonl, .csv or .json"),
        ("a.csv", b"study_id;generated;reference\ns0;a;b;c\n", "line 2: not 3 cells.* contain semicolons"),
        ("a.json", b'{"study_id": "s0"}\n{"study_id": "s1"}\n', "if it has one object a line, name it .jsonl"),
        ("a.csv", b"study_id,generated,reference\n", "no studies; there is nothing to score"),
        ("a.csv", b"study_id,generated,reference\ns0,a, b,c\n", "line 2: not 3 cells"),
        ("a.csv", b"study_id,generated,reference\ns0,a\n", "line 2: not 3 cells"),
        ("a.csv", b"study_id,generated\ns0,a\n", r"none of its 1 studies has .* \(found study_id, generated\)"),
        ("a.tsv", b"study_id\tgenerated\treference\ns0\ta\n", "line 2: not 3 cells.* contain tabs"),
        ("a.json", b'{"s": 7}', "study s: found int; each study must be one object or one text"),
        ("a.json", b'{"s": "x"}', "none of its 1 studies has a reference"),
        ("a.csv", b'study_id,generated,reference\ns0,"a"b,c\n', "line 2: not CSV"),
        ("a.csv", b"study_id,generated,reference,generated\ns0,a,b,c\n", "column 'generated' occurs twice"),
        ("a.csv", b'study_id,"generated"x,reference\n', "line 1: not CSV"),
        ("a.jsonl", b'{"study_id": "s0", "generated": "a", "generated": "b"}\n', "line 1: 'generated' occurs twice"),
        ("a.json", b'{"s": {"model_prediction": "x"}, "s": {}}', "a.json: 's' occurs twice"),
        ("a.json", b"7", "must be a list of such objects, or one for each study"),
        ("a.json", b"[]", "no studies; there is nothing to score"),
        ("a.json", b'["x"]', "a.json, entry 1: found str; each entry must be one JSON object"),
        ("a.json", b'{"s": {"section_findings": "x"}}', "study s: no field 'generated'; found section_findings"),
        ("a.json", b'{"s": {"model_prediction": "x"}}', "none of its 1 studies has a reference"),
    ],
)
def test_refuses_another_layout(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ScoringError, match=message):
        read_lines(tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScoringError, match="no such file"):
        read_lines(tmp_path / "other.jsonl")
    with pytest.raises(ScoringError, match="no such file"):
        read_train_texts(tmp_path / "other.jsonl")


def test_train_texts(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One.\n\nTwo.\n")
    assert read_train_texts(tmp_path / "a.txt") == ["One.", "Two."]
    assert read_train_texts(jsonl(tmp_path / "a.jsonl", [{"report": "One."}, {"reference": "Two."}])) == [
        "One.",
        "Two.",
    ]
    (tmp_path / "a.jsonl").write_text('\ufeff{"report": "One."}\n', encoding="utf-8")
    assert read_train_texts(tmp_path / "a.jsonl") == ["One."]
    with pytest.raises(ScoringError, match="line 1: no text under"):
        read_train_texts(jsonl(tmp_path / "a.jsonl", [{"x": 1}]))


def test_references_keyed_as_a_table_writes_numbers(tmp_path: Path) -> None:
    table = tmp_path / "references.csv"
    table.write_text("study_id,reference,subject_id\n1.0,Clear.,7.0\n 2.0 ,Not clear.,8.0\n")
    said = jsonl(tmp_path / "said.jsonl", [{"study_id": n, "generated": "x"} for n in (1, 2.0)])
    assert [(line.study_id, line.subject_id) for line in read_lines(said, read_references(table))] == [
        ("1", "7"),
        ("2", "8"),
    ]


def test_how_many_references_match_is_said(tmp_path: Path) -> None:
    references = read_references(jsonl(tmp_path / "references.jsonl", rows()))
    said = tmp_path / "a.csv"
    said.write_text("study_id,generated\nCXR0,Said 0.\nCXR1,Said 1.\n")
    with pytest.raises(
        ScoringError, match=r"'CXR0' is not in .*any of the 2 studies of a.csv; the first id there is 's0'"
    ):
        read_lines(said, references)
    said.write_text("study_id,generated\ns0,Said 0.\nCXR1,Said 1.\n")
    with pytest.raises(ScoringError, match=r"line 3: study 'CXR1' is not in .*; 1 of 2 studies are in it"):
        read_lines(said, references)


def test_files_without_a_common_study_say_so(tmp_path: Path) -> None:
    ours = jsonl(tmp_path / "a.jsonl", rows())
    other = jsonl(tmp_path / "b.jsonl", [{**row, "study_id": f"CXR{i}"} for i, row in enumerate(rows())])
    with pytest.raises(ScoringError, match=r"lacks all 3 studies of .*: the first ids are CXR0 here and s0 there"):
        read_systems(ours, [other])


def test_training_reports_of_a_table(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text('study,report\n1,"One, two."\n2,Three.\n')
    assert read_train_texts(path) == ["One, two.", "Three."]
    path.write_text("study,findings\n1,One.\n")
    assert read_train_texts(path, {"reference": "findings"}) == ["One."]
    with pytest.raises(ScoringError, match=r"line 2: no text under 'report' or 'reference'; found study, findings"):
        read_train_texts(path)
    path = tmp_path / "train.tsv"
    path.write_text("study\treport, in English\treport\n1\tx\tOne.\n")
    assert read_train_texts(path) == ["One."]


def test_training_reports_in_json(tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_text('[{"report": "One."}, {"reference": "Two."}]')
    assert read_train_texts(path) == ["One.", "Two."]
    path.write_text('{"s0": {"report": "One."}, "s1": {"reference": "Two."}, "s2": {"section_findings": "Three."}}')
    assert read_train_texts(path) == ["One.", "Two.", "Findings: Three."]
    path.write_text('{"s0": {"findings_text": "One."}}')
    assert read_train_texts(path, {"reference": "findings_text"}) == ["One."]
    path.write_text('{"s0": {"model_prediction": "One."}}')
    with pytest.raises(ScoringError, match="study s0: no text under 'report' or 'reference'; found model_prediction"):
        read_train_texts(path)
    path.write_text('{"s0": "One.", "s1": null}')
    assert read_train_texts(path) == ["One.", ""]
    path.write_text('{"s0": null}')
    with pytest.raises(ScoringError, match="none of its 1 rows has a text under 'report' or 'reference'"):
        read_train_texts(path)


@pytest.mark.parametrize("name", ["train.xml", "train"])
def test_training_reports_of_another_kind_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("One.\n")
    with pytest.raises(ScoringError, match=f"{name}: training reports are read from .txt, one report a line, or from"):
        read_train_texts(tmp_path / name)


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_cells_may_be_separated_as_excel_does(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"study_id{mark}generated{mark}reference\ns0{mark}One, two.{mark}Three.\n")
    (line,) = read_lines(path)
    assert (line.study_id, line.generated, line.reference) == ("s0", "One, two.", "Three.")


def test_a_tsv_has_tabs_whatever_else_its_header_holds(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("study_id\tgenerated\treference\tage, years\ns0\tOne; two, three.\tFour.\t70\n")
    (line,) = read_lines(path)
    assert (line.generated, line.reference) == ("One; two, three.", "Four.")


def test_json_may_be_a_text_for_each_study(tmp_path: Path) -> None:
    said, truth = tmp_path / "said.json", tmp_path / "truth.json"
    said.write_text(json.dumps({row["study_id"]: row["generated"] for row in rows()}))
    truth.write_text(json.dumps({row["study_id"]: row["reference"] for row in rows()}))
    assert read_lines(said, read_references(truth)) == [line._replace(subject_id=line.study_id) for line in EXPECTED]


def test_texts_alone_have_no_patients_that_columns_could_name(tmp_path: Path) -> None:
    path = tmp_path / "truth.json"
    path.write_text('{"s0": "Clear."}')
    assert read_references(path, {"study_id": "study"}) == {"s0": {"study_id": "s0", "reference": "Clear."}}
    with pytest.raises(ScoringError, match=r"study s0: no field 'person' \(nor 'subject_id'\), which --columns names"):
        read_references(path, {"subject_id": "person"})


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_text_that_is_null_is_empty(tmp_path: Path, value: float | None) -> None:
    expected = [line._replace(generated="" if line.study_id == "s1" else line.generated) for line in EXPECTED]
    assert read_lines(jsonl(tmp_path / "a.jsonl", changed(generated=value))) == expected
    keyed = tmp_path / "a.json"
    keyed.write_text(json.dumps({row["study_id"]: row["generated"] for row in changed(generated=value)}))
    assert read_lines(keyed, read_references(jsonl(tmp_path / "references.jsonl", rows()))) == expected


def test_missing_fields_are_asked_for_by_the_names_in_the_file(tmp_path: Path) -> None:
    columns = {"study_id": "study", "subject_id": "person", "reference": "truth"}
    row = {"study": 1, "truth": "Clear.", "person": "p", "text": "x"}
    path = jsonl(tmp_path / "a.jsonl", [row])
    with pytest.raises(ScoringError, match="no field 'generated'; found study, truth, person, text"):
        read_lines(path, columns=columns)
    named = columns | {"generated": "text"}
    jsonl(path, [row, {"study": 2, "person": "p", "text": "x", "reference": "Not it."}])
    assert read_lines(path, columns=named)[1].reference == "Not it."
    jsonl(path, [row, {"study": 2, "person": "p", "text": "x"}])
    with pytest.raises(ScoringError, match=r"2: no field 'truth' \(nor 'reference'\), .* found study, person, text"):
        read_lines(path, columns=named)


@pytest.mark.parametrize(
    ("second", "message"),
    [("1,,p", "line 3: study 1 has an empty reference"), ("1,Clear.,", "line 3: field 'subject_id' is given for some")],
)
def test_a_fault_of_the_references_names_their_file(tmp_path: Path, second: str, message: str) -> None:
    path = tmp_path / "references.csv"
    path.write_text(f"study_id,reference,subject_id\n0,Clear.,p\n{second}\n")
    with pytest.raises(ScoringError, match=f"references.csv, {message}"):
        read_references(path)
