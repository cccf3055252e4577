"""report.html: what is in it. What a browser makes of it is in test_page_in_browser.py."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest

from ammrg.evaluation.page.agreement import marked_pair
from ammrg.evaluation.page.columns import PAGE_COLUMNS, page_columns
from ammrg.evaluation.page.headlines import headline
from ammrg.evaluation.page.writing import NO_FILMS, Films, cases, page_data, rendered
from ammrg.evaluation.score_table import ALL_COLUMNS
from ammrg.findings import FINDINGS
from experiments.runs.page_films import films_of_run
from tests.scored_pages import ATTACK, film_of, lines, page_of, run_of, scored, with_another, write_reports


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return page_of(tmp_path)


def test_phrases_are_marked_by_how_the_other_text_agrees() -> None:
    found, other = marked_pair("Mild cardiomegaly. No  effusion. Possible edema.", "Large heart. Edema.")
    named = [(sentence[start:end], kind, FINDINGS[i]) for sentence, marks in found for start, end, kind, i, _ in marks]
    assert [sentence for sentence, _ in found] == ["Mild cardiomegaly.", "No effusion.", "Possible edema."]
    assert named == [
        ("cardiomegaly", "same", "Cardiomegaly"),
        ("effusion", "alone", "Pleural Effusion"),
        ("edema", "contrary", "Edema"),
    ]
    assert found[2][1][0][4] == "uncertain; other report: present"
    assert [(sentence, [mark[2] for mark in marks]) for sentence, marks in other] == [
        ("Large heart.", ["same"]),
        ("Edema.", ["contrary"]),
    ]


def test_a_right_finding_on_the_wrong_side_is_marked() -> None:
    def kinds(first: str, second: str) -> tuple[list[str], list[str]]:
        of_first, of_second = ([mark[2] for _, marks in text for mark in marks] for text in marked_pair(first, second))
        return of_first, of_second

    assert kinds("Left effusion.", "Small right effusion.") == (["astray"], ["astray"])
    assert kinds("Left effusion.", "Bilateral effusions.") == (["same"], ["astray"])
    assert kinds("Left effusion. Right effusion.", "Right effusion.") == (["astray", "same"], ["same"])
    for second in ("Left effusion.", "There is an effusion.", "Left lower zone effusion."):
        assert kinds("Left effusion.", second) == (["same"], ["same"])
    assert kinds("Left effusion.", "Possible right effusion.") == (["contrary"], ["contrary"])
    assert kinds("No left effusion.", "No right effusion.") == (["same"], ["same"])
    (first, *_), _ = marked_pair("Left effusion.", "Bilateral effusions and a right effusion.")
    assert first[1][0][4] == "present; other report: present"
    (first, *_), _ = marked_pair("Left effusion.", "Right effusion.")
    assert first[1][0][4] == "present; other report: present on the right"


def test_cases_are_the_worst_and_the_best() -> None:
    studies = {"f1": [0.5, 0.0, 1.0, 0.0, 1.0], "cider": [1.0, 2.0, 3.0, 1.0, 9.0], "study_id": list("abcde")}
    assert cases({"studies": studies}, 2) == ["d", "b", "c", "e"]
    assert sorted(cases({"studies": studies}, 3)) == list("abcde")
    studies = {"f1": [0.5, None, 1.0, None, 1.0], "cider": [1.0, 2.0, 3.0, 1.0, 9.0], "study_id": list("abcde")}
    assert cases({"studies": studies}, 1) == ["a", "e"]
    assert cases({"studies": studies}, 2) == ["a", "c", "e", "d"]


def test_no_finding_is_no_part_of_a_study_s_f1(tmp_path: Path) -> None:
    pairs = [("The lungs are clear.", "Qwerty uiop."), ("Edema.", "Qwerty uiop."), ("Edema and effusion.", "Edema.")]
    path, rows = run_of(tmp_path, pairs)
    studies = page_data(path, rows, scored(rows, path), NO_FILMS)["studies"]
    assert [study["f1"] for study in studies] == [None, 0.0, 0.6667]


def test_the_page_is_whole_and_escapes_everything(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("<script") == text.count("</script>") == 2
    assert ATTACK not in text
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", text)
    assert "{{" not in text.partition('<script type="application/json"')[0]
    style, script = (re.search(rf"<{tag}>(.*?)</{tag}>", text, re.S) for tag in ("style", "script"))
    assert style is not None
    assert script is not None
    for found, rule in ((style, "style-src"), (script, "script-src")):
        digest = base64.b64encode(hashlib.sha256(found.group(1).encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}'" in text
    held = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert held is not None
    data = json.loads(held.group(1))
    assert [part[0] for part in data["studies"][1]["generated"]][-1].endswith("</b>")
    assert data["texts"] == [f"Recalled. {ATTACK}"]
    assert data["restricted"] is None
    assert not list(page.parent.glob("*.partial"))


def test_a_restricted_data_set_is_named(tmp_path: Path) -> None:
    rows = lines(4)
    reports = write_reports(tmp_path / "reports.jsonl", rows)
    (tmp_path / "reports.meta.json").write_text(json.dumps({"dataset": "iu_xray", "restricted": True}))
    scores = scored(rows, reports)
    assert "has reports under their data set's terms" in page_data(reports, rows, scores, NO_FILMS)["restricted"]
    films = Films({"s0000": film_of()}, "")
    assert "has reports and films under their data set's terms" in page_data(reports, rows, scores, films)["restricted"]


def test_a_folder_that_is_no_run_has_no_films_and_says_so(tmp_path: Path) -> None:
    found = films_of_run(tmp_path, ["s1"])
    assert found.of_study == {}
    assert "holds no finished run" in found.absent


def test_a_mark_before_the_text_and_space_around_ids_lose_no_memories(tmp_path: Path) -> None:
    rows = lines(4)
    reports = write_reports(tmp_path / "reports.jsonl", rows)
    kept = reports.read_text(encoding="utf-8").replace('"s0003"', '"s0003 "')
    reports.write_text(f"\ufeff{kept}", encoding="utf-8")
    studies = page_data(reports, rows, scored(rows, reports), NO_FILMS)["studies"]
    assert [len(study["retrieved"]) for study in studies] == [1] * 4


def test_a_title_is_text(tmp_path: Path) -> None:
    folder = tmp_path / "<b>{{data}}"
    folder.mkdir()
    rows = lines(4)
    reports = write_reports(folder / "reports.jsonl", rows)
    text = rendered(page_data(reports, rows, scored(rows, reports), NO_FILMS))
    assert "<title>Generated reports: &lt;b>{{data}}/reports.jsonl</title>" in text


def test_differences_to_another_file_are_in_the_page(tmp_path: Path) -> None:
    reports, rows, scores = with_another(tmp_path)
    table = page_data(reports, rows, scores, NO_FILMS)["differences"]["full"]["<b>other"]
    told = {label: values for label, *values in table}
    cider = scores["comparisons"]["<b>other"]["full"]["cider"]
    assert told["CIDEr"][:2] == [
        scores["full"]["cider"]["value"],
        scores["against"]["<b>other"]["full"]["cider"]["value"],
    ]
    assert told["CIDEr"][2:] == [cider[part] for part in ("value", "low", "high", "p_value", "effect")]


def test_probabilities_places_and_thresholds_of_a_run_are_in_the_page(tmp_path: Path) -> None:
    reports, rows = run_of(tmp_path, [("No edema.", "Edema.")] * 3)
    data = page_data(reports, rows, scored(rows, reports), NO_FILMS)
    edema = FINDINGS.index("Edema")
    assert data["thresholds"] == [0.375] * 13 + [None]  # No Finding has none
    for study in data["studies"]:
        assert study["probabilities"] == [900 if i == edema else 125 for i in range(13)]
        assert study["found"] == 1 << edema
        assert study["places"] == {edema: "left lower"}
    rows, reports = lines(4), write_reports(tmp_path / "others.jsonl", lines(4))
    (tmp_path / "reports.meta.json").unlink()
    data = page_data(reports, rows, scored(rows, reports), NO_FILMS)
    assert data["thresholds"] is None
    assert [(study["probabilities"], study["places"]) for study in data["studies"]] == [(None, {})] * 4


def test_each_metric_is_in_one_table() -> None:
    assert sorted(column["key"] for column in page_columns()) == sorted(PAGE_COLUMNS)
    labels = {column["key"]: column["label"] for column in page_columns()}
    assert labels == PAGE_COLUMNS
    assert labels.items() >= ALL_COLUMNS.items()
    chances = [key for key, label in labels.items() if label == "chance"]
    assert len(chances) == 6
    for key in chances:  # each beside its measure
        assert list(labels).index(key) == list(labels).index(key.removesuffix("_chance")) + 1


@pytest.mark.parametrize(
    ("text", "short"),
    [
        (
            "Compared with both memories off: clinical micro F1 (13) .90 against .91 (-.01, 95% -.02 to .01); CIDEr .9 "
            "against .8 (+.1, 95% .0 to .2). NO CLEAR USE OF THE MEMORIES by clinical micro F1 (13).",
            "Compared with both memories off: no clear use of the memories by clinical micro F1 (13).",
        ),
        (
            "Compared with t: CIDEr .1 against .2 (-.1). BELOW THE TEMPLATE by CIDEr: THE NETWORK ADDS NOTHING THERE. "
            "NOT CLEARLY ABOVE THIS BASELINE by side F1.",
            "Compared with t: below the template by CIDEr: the network adds nothing there. Not clearly above this "
            "baseline by side F1.",
        ),
        ("EMPTY REPORTS: 3 of 40 reports are empty.", "Empty reports: 3 of 40 reports are empty."),
        (
            "F1 of the side .5. THE SIDE IS NOT CLEARLY ABOVE CHANCE by F1.",
            "The side is not clearly above chance by F1.",
        ),
        ("Few patients: intervals over 9 patients are narrow.", "Few patients: intervals over 9 patients are narrow."),
    ],
)
def test_a_doubt_has_a_headline_in_small_letters(text: str, short: str) -> None:
    assert headline(text) == short
