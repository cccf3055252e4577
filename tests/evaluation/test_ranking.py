"""Several files ranked, by the commands of docs/ranking.md and on small files."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from ammrg import evaluate, per_study
from ammrg.__main__ import main
from ammrg.commands.output_folder import output_folder
from ammrg.evaluation.figures import formatted
from ammrg.evaluation.ranking.latex import escaped as latex_text
from ammrg.evaluation.ranking.markdown import escaped as markdown_text
from ammrg.evaluation.verdicts import short, signed
from ammrg.notice import NOTICE
from tests.evaluation.drawn_submissions import FILES, draw

ROOT = Path(__file__).parents[2]
EXAMPLE = Path(__file__).parent / "submissions"
COLUMNS = "id=study,text=prediction,reference=report,patient=patient"
PAGE = (ROOT / "docs" / "ranking.md").read_text(encoding="utf-8")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example's files, and one that lacks two studies and has another."""
    for name in FILES:
        shutil.copy(EXAMPLE / name, tmp_path)
    rows = (tmp_path / "b.csv").read_text().splitlines()
    (tmp_path / "b_incomplete.csv").write_text("\n".join([*rows[:-2], "other,No effusion."]) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def score(*words: str, out: str = "out") -> int:
    return main(["score", *words, "--no-meteor", "--bootstrap", "20", "--quiet", "--out", out])


def common(*files: str) -> tuple[str, ...]:
    return (*files, "--references", "references.csv", "--columns", COLUMNS)


def table_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_example_is_what_its_script_draws(tmp_path: Path) -> None:
    draw(tmp_path)
    assert all((tmp_path / name).read_bytes() == (EXAMPLE / name).read_bytes() for name in FILES)


def test_the_commands_of_the_page_run_and_give_its_table(place: Path) -> None:
    (made,) = re.findall(r"^head .*$", PAGE, re.MULTILINE)
    (place / "b_incomplete.csv").unlink()
    subprocess.run(["bash", "-c", made], check=True)
    commands = re.findall(r"^ammrg (score .*)$", PAGE, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        assert main([*shlex.split(command), "--quiet"]) == 0
    written = (place / "ranking" / "ranking.md").read_text(encoding="utf-8")
    assert written.split("\n\n")[1] in PAGE
    listed = table_of(place / "ranking_common" / "missing_ids.csv")
    assert [(row["system"], row["what"]) for row in listed] == [("B", "missing"), ("B", "missing")]
    assert "38 studies" in (place / "ranking_common" / "ranking.md").read_text(encoding="utf-8")
    assert "B lacks 2" in (place / "ranking_common" / "ranking.html").read_text(encoding="utf-8")


def test_missing_and_surplus_studies_are_counted(place: Path) -> None:
    assert score(*common("a.jsonl", "b_incomplete.csv"), "--names", "A,B", "--allow-missing") == 0
    listed = [(row["system"], row["what"]) for row in table_of(place / "out" / "missing_ids.csv")]
    assert listed == [("B", "missing"), ("B", "missing"), ("B", "surplus")]
    assert "B lacks 2 and has 1 more" in (place / "out" / "ranking.html").read_text(encoding="utf-8")


def test_values_are_those_of_each_file_alone(place: Path) -> None:
    assert score(*common("a.jsonl", "b.csv", "c.json"), "--names", "A,B,C", "--by", "sex") == 0
    rows = table_of(place / "out" / "ranking.csv")
    with (place / "references.csv").open() as file:
        known = {row["study"]: row for row in csv.DictReader(file)}
    said = {row["study"]: row["prediction"] for row in table_of(place / "b.csv")}
    alone = evaluate(
        [said[study] for study in known],
        references=[row["report"] for row in known.values()],
        patients=[row["patient"] for row in known.values()],
        resamples=20,
        with_meteor=False,
    )["full"]
    kept = json.loads((place / "out" / "scores" / "B.json").read_text())["full"]
    ours = {row["metric"]: row for row in rows if row["system"] == "B" and not row["column"]}
    assert len(ours) == 6
    for key, row in ours.items():
        assert [float(row[part]) for part in ("value", "low", "high")] == pytest.approx(list(alone[key].values()))
        assert kept[key] == pytest.approx(alone[key])
    sexes = {row["group"]: int(row["studies"]) for row in rows if row["column"] == "sex"}
    assert sum(sexes.values()) == 40
    women = [study for study, row in known.items() if row["sex"] == "F"]
    part = evaluate([said[each] for each in women], references=[known[each]["report"] for each in women], resamples=0)
    row = next(row for row in rows if (row["system"], row["group"], row["metric"]) == ("B", "F", "bleu_4"))
    assert float(row["value"]) == pytest.approx(part["full"]["bleu_4"]["value"])


def test_a_small_group_is_listed_without_scores(place: Path) -> None:
    text = (place / "references.csv").read_text().splitlines()
    rows = [f"{line},{'kind' if not i else 'rare' if i < 4 else 'usual'}" for i, line in enumerate(text)]
    (place / "references.csv").write_text("\n".join(rows) + "\n")
    assert score(*common("a.jsonl", "b.csv"), "--by", "kind") == 0
    assert "rare (n = 3, 2 patients): too few to score" in (place / "out" / "ranking.md").read_text()


def test_groups_of_few_patients_are_told_with_their_number(place: Path) -> None:
    rows = (place / "references.csv").read_text().splitlines()
    rows = [f"{row},{'kind' if i == 0 else 'small' if i < 13 else 'large'}" for i, row in enumerate(rows)]
    (place / "references.csv").write_text("\n".join(rows) + "\n")
    assert score(*common("a.jsonl", "b.csv"), "--by", "kind") == 0
    written = (place / "out" / "ranking.md").read_text()
    patients = {row["group"]: row["patients"] for row in table_of(place / "out" / "ranking.csv")}
    for group in ("small", "large"):
        assert re.search(rf"{group} \(n = \d+, {patients[group]} patients\): ", written)
    few = ", ".join(group for group in ("large", "small") if int(patients[group]) < 20)
    assert f"Fewer than 20 patients, so intervals are narrower than they should be: {few}." in written
    assert "small" in few


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (common("a.jsonl", "b.csv", "--names", "A"), "--names: found 1 for 2 files ('A')"),
        (common("a.jsonl", "b.csv", "--names", "A,A"), "two systems are called 'A'"),
        (common("a.jsonl", "b.csv", "--names", "A,../B"), "cannot be the name of a file"),
        (common("a.jsonl", "b_incomplete.csv"), "b_incomplete.csv lacks 2 (first: "),
        (common("a.jsonl", "b.csv", "--by", "age"), "--by age: there is no such column"),
        (common("a.jsonl", "b.csv", "--by", "study_id"), "--by study_id: 40 different values"),
        (("a.jsonl", "b.csv", "--columns", "id=studie"), "no field 'studie' (nor 'study_id')"),
        (("a.jsonl", "b.csv", "--columns", "name=study"), "'name=study' names no column"),
        (common("a.jsonl", "twice.csv"), "occurs twice, first in line 2; keep one of the two"),
        (common("a.jsonl", "columns.csv"), "columns.csv: column 'prediction' occurs twice in the header"),
        (common("a.jsonl", "header.csv"), "header.csv: no studies; there is nothing to score"),
        (("a.jsonl", "--names", "A"), "--names goes with several files"),
        (common("a.jsonl", "b.csv", "--show"), "--show goes with one file"),
        (common("a.jsonl", "b.csv", "--protocol", "full", "r2gen"), "ranked under one protocol"),
    ],
)
def test_bad_input_is_one_sentence(
    place: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    rows = (place / "b.csv").read_text().splitlines()
    (place / "twice.csv").write_text("\n".join([*rows, rows[1]]) + "\n")
    (place / "columns.csv").write_text("\n".join([rows[0] + ",prediction", *(f"{row},x" for row in rows[1:])]) + "\n")
    (place / "header.csv").write_text(rows[0] + "\n")
    assert score(*words) == 1
    said = capsys.readouterr().err
    assert message in said
    assert len(said.strip().splitlines()) == 1
    assert not (place / "out" / "ranking.md").exists()


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no LaTeX on this machine")
def test_the_tables_are_read_by_latex(place: Path) -> None:
    names = "A_1 50% & more,B~^[x]#,C{d}$"
    assert score("a.jsonl", "b.csv", "c.json", "--names", names, *common()) == 0
    paper = r"\documentclass[twocolumn]{article}\usepackage{booktabs,graphicx}\begin{document}\input{%s}\end{document}"
    (place / "paper.tex").write_text(paper % "out/ranking.tex")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert (place / "paper.pdf").stat().st_size > 10_000
    assert "Overfull" not in done.stdout


def test_differences_of_ten_keep_their_digits() -> None:
    assert [signed(value) for value in (-10.0, 10.25, 0.155, -0.003, 0.0)] == [
        "-10.000",
        "+10.250",
        "+.155",
        "-.003",
        "+.000",
    ]


def test_marks_in_names_stay_plain_text() -> None:
    assert latex_text("A_1 & 50% [x] *") == r"A\_1 \& 50\% {[}x] {*}"
    assert markdown_text("a|b_*c*") == r"a\|b\_\*c\*"


def test_bleu_of_a_study_is_that_of_pycocoevalcap() -> None:
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer

    references, reports = ["the heart is mildly enlarged", "no effusion"], ["the heart is enlarged today", "edema"]
    found = per_study(reports, references=references)
    scorer = BleuScorer(n=4)
    for report, reference in zip(reports, references, strict=True):
        scorer += (report, [reference])
    _, each = scorer.compute_score(option="closest")
    assert found["bleu_2"][0] == pytest.approx(each[1][0])
    assert found["bleu_2"].isna().tolist() == [False, True]
    assert found["said"].tolist() == [("Cardiomegaly",), ("Edema",)]
    assert found["location_side_f1"].isna().all()


def test_the_notebook_runs_and_stores_what_it_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook = ROOT / "docs" / "notebooks" / "ranking.ipynb"
    monkeypatch.chdir(notebook.parent)
    cells = [each for each in json.loads(notebook.read_text())["cells"] if each["cell_type"] == "code"]
    assert len(cells) >= 6
    names: dict[str, object] = {}
    for each in cells:
        exec("".join(each["source"]), names)
        stored = "".join(line for output in each["outputs"] for line in output["text"])
        assert stored == capsys.readouterr().out
    assert names["status"] == 0
    assert "40 studies of 36 patients" in stored
    lines = table_of(Path(str(names["out"])) / "ranking.csv")
    value = next(row["value"] for row in lines if row["system"] == "C" and row["metric"] == "rouge_l")
    shown = next("".join(each["outputs"][0]["text"]) for each in cells if each["outputs"])
    assert f"C  rouge_l  {float(value):.3f}" in shown


def test_the_python_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code, {})
    assert "Cardiomegaly" in capsys.readouterr().out


def test_the_terminal_keeps_names_whole_and_ends_with_the_notice(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["score", *common("a.jsonl", "b.csv"), "--no-meteor", "--bootstrap", "50", "--out", str(place / "out")]
    assert main([*command, "--names", "Northern,Southern"]) == 0
    said = capsys.readouterr().out
    assert "│Northern‡ │" in said
    assert re.search(r"40 studies of \d+ patients, the same in all files\. Protocol full", " ".join(said.split()))
    assert said.rindex(NOTICE) > said.rindex("the same in all files")


def test_latex_names_the_engine_that_names_need(place: Path) -> None:
    def comments(names: str) -> list[str]:
        assert score(*common("a.jsonl", "b.csv"), "--names", names) == 0
        text = (place / "out" / "ranking.tex").read_text(encoding="utf-8")
        return [line for line in text.splitlines() if "pdfLaTeX" in line]

    assert comments("A,Équipe Łódź") == []
    (line,) = comments("Ωμ,北京")
    assert line.startswith("% pdfLaTeX stops at Ωμ京北: use XeLaTeX or LuaLaTeX with a font that has these letters")


def test_groups_say_that_they_have_no_ranks(place: Path) -> None:
    assert score(*common("a.jsonl", "b.csv"), "--by", "sex") == 0
    assert "Without ranks and baselines" in (place / "out" / "ranking.md").read_text()


def test_groups_have_the_order_of_the_ranking(place: Path) -> None:
    assert score(*common("c.json", "a.jsonl"), "--names", "C,A", "--by", "sex") == 0
    rows = table_of(place / "out" / "ranking.csv")
    orders = {group: list(dict.fromkeys(r["system"] for r in rows if r["group"] == group)) for group in ("", "F", "M")}
    assert orders == {"": ["A", "C"], "F": ["A", "C"], "M": ["A", "C"]}


def test_latex_fits_the_page_and_has_minus_signs(place: Path) -> None:
    assert score(*common("a.jsonl", "b.csv")) == 0
    text = (place / "out" / "ranking.tex").read_text(encoding="utf-8")
    assert text.count("{") == text.count("}")
    for mark in (r"\resizebox{\textwidth}{!}{%", r"\end{tabular}}", r"\begin{table*}", r"\end{table*}"):
        assert text.count(mark) == 1
    (below,) = [line for line in text.splitlines() if "minus the best" in line]
    assert "$-$.303 {[}$-$." in below
    assert " -." not in below


def test_a_name_with_a_comma_stands_in_quotes(place: Path) -> None:
    assert score(*common("a.jsonl", "b.csv", "--names", 'A,"B, large"')) == 0
    assert (place / "out" / "scores" / "B, large.json").is_file()


def test_patients_that_no_file_names_are_not_counted(place: Path) -> None:
    assert score("a.jsonl", "b.csv", "--references", "references.csv", "--columns", COLUMNS.rsplit(",", 1)[0]) == 0
    text = (place / "out" / "ranking.md").read_text(encoding="utf-8")
    assert "40 studies whose patients are not given, so that each counts as one of its own, the same in all" in text
    assert {row["patients"] for row in table_of(place / "out" / "ranking.csv")} == {""}


def test_nothing_of_an_earlier_ranking_stays(place: Path) -> None:
    assert score(*common("a.jsonl", "b.csv", "c.json", "--names", "A,B,C")) == 0
    (place / "out" / "scores" / "notes.json").write_text("[]")
    assert score(*common("a.jsonl", "b.csv", "--names", "A,B")) == 0
    assert sorted(path.name for path in (place / "out" / "scores").iterdir()) == ["A.json", "B.json", "notes.json"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("a.jsonl", "--out", "a.jsonl"), "a.jsonl would be overwritten, but it is read"),
        (("a.jsonl", "--out", "./references.csv"), "references.csv would be overwritten, but it is read"),
        (("a.jsonl", "--out", "note.txt"), "there is a file that holds no scores"),
        (("a.jsonl", "--out", "."), "a folder; the scores of one file go into a file"),
        (("a.jsonl", "--out", "note.txt/x.json"), "nothing can be written into note.txt (Not a directory)"),
        (("a.jsonl", "b.csv", "--out", "note.txt"), "a file; several files are ranked into a folder"),
        (("a.jsonl", "b.csv", "--out", "note.txt/x"), "nothing can be written into note.txt/x (Not a directory)"),
        (("a.jsonl", "ranking.csv", "--out", "."), "ranking.csv would be overwritten, but it is read"),
    ],
)
def test_nothing_that_is_read_or_not_ours_is_overwritten(
    place: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    (place / "note.txt").write_text("mine")
    shutil.copy(place / "b.csv", place / "ranking.csv")
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    command = [
        "score",
        *words,
        "--references",
        "references.csv",
        "--columns",
        COLUMNS,
        "--no-meteor",
        "--bootstrap",
        "0",
    ]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert message in said
    assert len(said.strip().splitlines()) == 1
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before


def test_one_file_may_have_other_columns_too(place: Path) -> None:
    assert score("b.csv", "--references", "references.csv", "--columns", COLUMNS, out="out.json") == 0
    asked = json.loads((place / "out.json").read_text())
    found = evaluate(
        "b.csv",
        references="references.csv",
        columns=COLUMNS,
        protocols="full",
        train_texts="train.txt",
        resamples=20,
        with_meteor=False,
    )
    assert found["full"] == asked["full"]
    assert found["full"]["cider"]["value"] > 0
    studies = per_study("b.csv", references="references.csv", columns=COLUMNS)
    assert studies["cider"].max() > 0


def test_texts_and_references_may_have_the_same_column(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("b.csv", "references.csv"):
        header, rest = (place / name).read_text().split("\n", 1)
        (place / f"same_{name}").write_text(header.replace("prediction", "report") + "\n" + rest)
    apart = {"references": "references.csv", "resamples": 0, "with_meteor": False}
    same = {**apart, "references": "same_references.csv"}
    found = evaluate("same_b.csv", columns="id=study,text=report,reference=report,patient=patient", **same)
    assert found["full"] == evaluate("b.csv", columns=COLUMNS, **apart)["full"]
    shutil.copy("same_b.csv", "c.csv")
    words = ("--columns", "id=study,reference=report,text=report", "--train-texts", "same_references.csv")
    assert score("same_b.csv", *words, out="out.json") == score("same_b.csv", "c.csv", *words) == 1
    said = list(filter(None, capsys.readouterr().err.splitlines()))
    assert len(said) == 2
    assert all(
        "'report' is named for text and reference, which needs two files; give that of the ref" in x for x in said
    )
    assert score("same_b.csv", "c.csv", "--columns", "id=study,text=study") == 1
    assert "'text=study' repeats a word or a column" in capsys.readouterr().err
    assert score("same_b.csv", "c.csv", "--references", "same_references.csv", *words) == 0


def test_a_call_that_fails_leaves_the_earlier_ranking(place: Path) -> None:
    assert score(*common("a.jsonl", "b.csv")) == 0
    before = {path: path.read_bytes() for path in sorted(Path("out").rglob("*")) if path.suffix in (".md", ".json")}
    assert len(before) == 3
    assert score(*common("a.jsonl", "b_incomplete.csv")) != 0
    assert {path: path.read_bytes() for path in before} == before
    assert "b_incomplete" in (place / "out" / "missing_ids.csv").read_text()


def test_two_rankings_do_not_write_into_one_folder(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with output_folder(place / "out"):
        assert score(*common("a.jsonl", "b.csv")) == 1
        assert not list((place / "out").iterdir())
    assert "another process writes into it" in capsys.readouterr().err
    assert score(*common("a.jsonl", "b.csv")) == 0


@pytest.mark.parametrize("name", ["ranking.csv", "ranking.md", "missing_ids.csv"])
def test_a_file_of_no_ranking_is_not_replaced(place: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (place / "out").mkdir()
    (place / "out" / name).write_text("my notes")
    assert score(*common("a.jsonl", "b.csv")) != 0
    assert f"--out out: out/{name} is of no ranking" in capsys.readouterr().err
    assert (place / "out" / name).read_text() == "my notes"
    (place / "out" / name).unlink()
    assert score(*common("a.jsonl", "b_incomplete.csv")) != 0
    assert score(*common("a.jsonl", "b.csv")) == 0
    assert score(*common("a.jsonl", "b.csv")) == 0


def test_few_patients_and_equal_texts_are_told(place: Path) -> None:
    rows = [{"study_id": str(n), "subject_id": str(n % 12), "reference": f"Opacity {n}."} for n in range(24)]
    for name, text in (("x", "No effusion."), ("y", "No effusion."), ("z", None)):
        lines = [json.dumps({**row, "generated": text or row["reference"]}) for row in rows]
        Path(f"{name}.jsonl").write_text("\n".join(lines))
    assert score("x.jsonl", "y.jsonl", "z.jsonl") == 0
    told = (place / "out" / "ranking.md").read_text()
    assert "Few patients: intervals over 12 patients are narrower than they should be." in told
    assert "### Alarms of y\n\n- THE SAME TEXTS: its reports are, word for word, those of x." in told
    assert "### Alarms of z\n\n- THE SAME TEXTS: its reports are, word for word, the references." in told
    assert told.count("THE SAME TEXTS:") == 2


def test_what_is_wrong_with_texts_stands_first_under_the_main_table(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = (place / "b.csv").read_text().splitlines()
    (place / "empty.csv").write_text("\n".join([rows[0], *(f"{row.partition(',')[0]}," for row in rows[1:])]) + "\n")
    words = common("empty.csv", "c.json", "--names", "E,C", "--by", "view", "--train-texts", "train.txt")
    assert main(["score", *words, "--no-meteor", "--bootstrap", "100", "--out", "out"]) == 0
    for told in ((place / "out" / "ranking.md").read_text(), capsys.readouterr().out):
        alarms, others = told[: told.index("By view")].split("larms of E")[1], told.split("larms of C")[1]
        assert "ONE TEXT FOR ALL: " in alarms
        assert "EMPTY REPORTS: " in alarms
        assert "Compared with" in others.split("larms of E")[0]
        assert "Compared with" not in alarms.split("larms of C")[0]  # they follow from one text
    page = (place / "out" / "ranking.html").read_text()
    assert page.index('id="tables"') < page.index('id="said"') < page.index('id="groups"')


def test_alarms_on_texts_mark_the_name_in_every_table(place: Path) -> None:
    assert score(*common("a.jsonl", "c.json"), "--names", "A,C", "--by", "view") == 0
    folder = place / "out"
    meaning = "‡: alarms on the texts (A: REFERENCES ARE COPIED)."
    written = (folder / "ranking.md").read_text()
    for label in ("| A‡ |", "| C |", ": A‡ |"):
        assert label in written
    assert written.count(meaning) == 2  # the main table, and that of groups
    tex = (folder / "ranking.tex").read_text()
    assert "A\\ddag{} &" in tex
    assert "\\ddag{}: alarms on the texts" in tex
    assert '"A‡"' in (folder / "ranking.html").read_text()
    alarms = {row["system"]: row["alarms"] for row in table_of(folder / "ranking.csv")}
    assert (alarms["A"], alarms["C"]) == ("REFERENCES ARE COPIED", "")


def test_a_file_and_a_folder_are_told_apart_by_their_ending(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert score(*common("b.csv"), out="s_dir") == 1
    assert "--out s_dir: has no ending; the scores of one file go into a file" in capsys.readouterr().err
    for name in ("x.json", "x.html"):
        assert score(*common("a.jsonl", "b.csv"), out=name) == 1
        assert f"--out {name}: the name of a file; several files are ranked into a folder" in capsys.readouterr().err
    assert not any((place / name).exists() for name in ("s_dir", "x.json", "x.html"))


def test_few_resamples_are_told_or_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = (*common("a.jsonl", "b.csv"), "--no-meteor", "--out", "out")
    for number in ("-1", "1", "19"):
        assert main(["score", *files, f"--bootstrap={number}"]) == 1
        assert f"--bootstrap={number}: too few resamples for an interval; give at least 20" in capsys.readouterr().err
    told = "Few resamples: the ends of intervals over 20 are mostly chance; give at least 100."
    assert score(*common("a.jsonl", "b.csv")) == 0
    assert told in (place / "out" / "ranking.md").read_text()
    assert main(["score", *files, "--bootstrap=100", "--quiet"]) == 0
    assert "Few resamples" not in (place / "out" / "ranking.md").read_text()
    texts = [f"Opacity {n}." for n in range(6)]
    assert told in evaluate(texts, references=texts, resamples=20, with_meteor=False)["sentences"]
    assert not any("Few res" in text for text in evaluate(texts, references=texts, resamples=0)["sentences"])


def test_columns_are_asked_for_by_the_names_in_the_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert score(*common("a.jsonl", "b.csv"), "--by", "absent") != 0
    assert "references.csv has study, report, patient" in capsys.readouterr().err
    rows = [f"{n},{n // 2},Opacity {n}." for n in range(20)]
    Path("truth.csv").write_text("\n".join(["id,ward,truth", *rows]) + "\n")
    for name in ("x", "y"):
        Path(f"{name}.csv").write_text("\n".join(["id,text", *(f"{n},Opacity {n}." for n in range(20))]) + "\n")
    files = ("x.csv", "y.csv", "--references", "truth.csv")
    assert score(*files) != 0
    assert (
        "truth.csv: no field 'study_id'; found id, ward, truth. Name the file's own with --columns"
        in capsys.readouterr().err
    )
    assert score(*files, "--columns", "id=id,text=text") != 0
    assert "no field 'reference'; found id, ward, truth. Name the file's own" in capsys.readouterr().err
    names = "id=id,text=text,reference=truth,patient=ward"
    assert score(*files, "--columns", names, "--by", "ward") == 0
    assert (place / "out" / "ranking.md").read_text().count("ward") == 1


def test_an_alarm_of_all_systems_stands_once(place: Path) -> None:
    Path("train.csv").write_bytes((place / "references.csv").read_bytes())
    assert score(*common("a.jsonl", "b.csv"), "--names", "A,B", "--train-texts", "train.csv") == 0
    written = (place / "out" / "ranking.md").read_text()
    assert "### Alarms of all systems\n\n- TRAINING REPORTS ARE REFERENCES: 40 of 40 different" in written
    assert written.count("TRAINING REPORTS ARE REFERENCES:") == 1
    assert "(all systems: TRAINING REPORTS ARE REFERENCES; " in written
    assert "### Alarms of A\n\n- REFERENCES ARE COPIED" in written


def test_groups_of_references_that_are_an_object_for_each_study(place: Path) -> None:
    rows = table_of(place / "references.csv")
    keyed = {row.pop("study"): row for row in rows}
    Path("references.json").write_text(json.dumps(keyed))
    written = []
    for name in ("references.csv", "references.json"):
        assert score("a.jsonl", "b.csv", "--references", name, "--columns", COLUMNS, "--by", "sex") == 0
        written.append((place / "out" / "ranking.csv").read_bytes())
    assert written[0] == written[1]


def test_too_few_common_studies_are_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = (place / "b.csv").read_text().splitlines()
    (place / "few.csv").write_text("\n".join(rows[:20]) + "\n")
    assert score(*common("a.jsonl", "b.csv", "few.csv"), "--allow-missing") != 0
    told = capsys.readouterr().err
    assert "--allow-missing: only 19 of 40 studies are in all files (few lacks 21), too few" in told
    assert "leave out few, or complete it" in told
    assert not (place / "out" / "ranking.md").exists()
    (place / "few.csv").write_text("\n".join(rows[:21]) + "\n")
    assert score(*common("a.jsonl", "b.csv", "few.csv"), "--allow-missing") == 0


@pytest.mark.parametrize(("known", "status"), [(19, 1), (20, 0)])
def test_references_of_other_studies_are_refused(
    place: Path, capsys: pytest.CaptureFixture[str], known: int, status: int
) -> None:
    rows = (place / "references.csv").read_text().splitlines()
    (place / "references.csv").write_text("\n".join(rows[: 1 + known]) + "\n")
    assert score(*common("a.jsonl", "b.csv"), "--allow-missing") == status
    told = "each file has 40 studies or more, but only 19 are in all files and the references"
    assert (told in capsys.readouterr().err) == bool(status)


@pytest.mark.parametrize(("studies", "patients"), [(9, 9), (12, 4)])
def test_no_best_is_marked_among_few(place: Path, studies: int, patients: int) -> None:
    rows = [{"study_id": str(n), "subject_id": str(n % patients), "reference": f"Opacity {n}."} for n in range(studies)]
    for name, text in (("x", "No effusion."), ("y", "Opacity.")):
        lines = [json.dumps({**row, "generated": text}) for row in rows]
        Path(f"{name}.jsonl").write_text("\n".join(lines))
    assert score("x.jsonl", "y.jsonl") == 0
    written = (place / "out" / "ranking.md").read_text()
    assert "No best is marked: that needs 10 studies of 5 patients." in written
    assert "Bold: the best" not in written
    assert "**" not in written
    assert '"mark": "best"' not in (place / "out" / "ranking.html").read_text()
    assert {row["mark"] for row in table_of(place / "out" / "ranking.csv")} == {""}


def test_a_patient_of_two_sexes_is_told(place: Path) -> None:
    files = common("a.jsonl", "b.csv"), ("--by", "sex,view")
    assert score(*files[0], *files[1]) == 0
    assert "SEVERAL VALUES" not in (place / "out" / "ranking.md").read_text()
    text = (place / "references.csv").read_text()
    blank = [line.replace(",M,", ",,") if line.startswith("53000001") else line for line in text.splitlines()]
    (place / "references.csv").write_text("\n".join(blank) + "\n")
    assert score(*files[0], *files[1]) == 0
    assert "SEVERAL VALUES" not in (place / "out" / "ranking.md").read_text()
    changed = [
        line.replace(",M,", ",F,") if line.startswith("53000001") else line.replace(",F,", ",M,")
        for line in text.splitlines()
    ]
    (place / "references.csv").write_text("\n".join(changed) + "\n")
    assert score(*files[0], *files[1]) == 0
    told = "--by sex: SEVERAL VALUES FOR ONE PATIENT: 1 of 36 patients have more than one (first: 13000000 has M and F)"
    assert told in (place / "out" / "ranking.md").read_text()


def test_a_measure_of_few_findings_has_no_verdict_of_its_own(place: Path) -> None:
    assert score(*common("a.jsonl", "b.csv")) == 0
    told = (place / "out" / "ranking.md").read_text()
    assert "THE SIDE IS NOT CLEARLY ABOVE CHANCE by F1.\n" in told
    assert "no verdict" not in told


def test_a_ranking_says_what_orders_its_rows(place: Path) -> None:
    assert score(*common("a.jsonl", "b.csv")) == 0
    rule = "Each metric has ranks of its own; the rows are in the order of clinical micro F1 (13)."
    for name in ("ranking.md", "ranking.html", "ranking.tex"):
        assert rule in (place / "out" / name).read_text()


def test_the_caption_says_what_made_it_and_one_reason_for_no_intervals(place: Path) -> None:
    words = ["score", *common("a.jsonl", "b.csv"), "--no-meteor", "--quiet", "--bootstrap", "0", "--out", "out"]
    assert main(words) == 0
    told = (place / "out" / "ranking.md").read_text()
    assert "No intervals, because no resamples are drawn." in told
    assert "without METEOR." in told
    meta = json.loads((place / "out" / "scores" / "b.json").read_text())["meta"]
    assert f"ammrg {meta['versions']['ammrg']}; fingerprints of inputs: a " in told
    assert f", b {meta['inputs'][:12]}." in told


def test_another_metric_may_order_the_rows(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = table_of(place / "references.csv")
    constant = {row["study"]: "The heart is normal in size." for row in rows}
    denied = {row["study"]: " ".join(re.findall(r"No [^.]*\.", row["report"])) for row in rows}
    for name, reports in (("constant", constant), ("denied", denied)):
        (place / f"{name}.json").write_text(json.dumps(reports))
    # the same F1, 0: the first file is first, unless CIDEr orders
    files = common("constant.json", "denied.json")
    for words, first, named in (((), "constant", "clinical micro F1 (13)"), (("--sort", "cider"), "denied", "CIDEr")):
        assert score(*files, *words) == 0
        assert table_of(place / "out" / "ranking.csv")[0]["system"] == first
        assert f"the rows are in the order of {named}." in (place / "out" / "ranking.md").read_text()
    assert score(*files, "--sort", "meteor") == 1
    assert "--sort meteor: has no ranks here" in capsys.readouterr().err


def test_scores_of_another_file_are_not_overwritten(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--references", "references.csv", "--columns", COLUMNS, "--no-meteor", "--bootstrap", "0")
    assert main(["score", "a.jsonl", *words, "--quiet"]) == 0
    before = (place / "scores.json").read_bytes(), (place / "report.html").read_bytes()
    assert main(["score", "b.csv", *words, "--quiet"]) != 0
    assert "--out scores.json: holds the scores of a.jsonl; name another place for those of b.csv, such as --out" in (
        capsys.readouterr().err
    )
    assert before == ((place / "scores.json").read_bytes(), (place / "report.html").read_bytes())
    assert main(["score", "a.jsonl", *words, "--quiet"]) == 0
    assert main(["score", "b.csv", *words, "--quiet", "--out", "b_scores/scores.json"]) == 0
    for name in ("a", "b"):
        files = (f"{name}.{'jsonl' if name == 'a' else 'csv'}", "--out", f"both/{name}.json")
        assert main(["score", *files, *words, "--quiet"]) == 0
    names = {path.name for path in (place / "both").iterdir()}
    assert names == {"a.json", "a.html", "b.json", "b.html"}
    for told in ("", "replaces an earlier ranking"):
        capsys.readouterr()
        assert main(["score", "a.jsonl", "b.csv", *words]) == 0
        assert ("replaces an earlier ranking" in capsys.readouterr().out) == bool(told)


def test_zero_has_no_sign() -> None:
    assert [short(-0.0001), signed(-0.0001), formatted(-0.0001)] == [".000", "+.000", "0.000"]


def test_names_differ_by_more_than_capitals(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert score(*common("a.jsonl", "b.csv"), "--names", "a,A") != 0
    assert "two systems are called 'a'" in capsys.readouterr().err
