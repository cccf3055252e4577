"""report.html: what is in it, and what a browser makes of it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ammrg.evaluation.page.writing import NO_FILMS, Films, cases, marked_pair, page_data, render, write_page
from ammrg.evaluation.predictions import Line, System
from ammrg.evaluation.scoring import score_systems
from ammrg.findings import FINDINGS
from experiments.runs.page_films import films_of_run

ATTACK = "</script><script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\"> <b>No edema.</b>"
PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw=="
REFERENCES = ("Mild cardiomegaly. No effusion.", "Small left pleural effusion.", "The lungs are clear.", "No edema.")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def lines(count: int) -> list[Line]:
    draw = np.random.default_rng(0)
    return [
        Line(f"s{i:04}", f"p{i}", REFERENCES[i % 4], ATTACK if i == 1 else REFERENCES[draw.integers(4)])
        for i in range(count)
    ]


def scored(rows: list[Line], path: Path) -> dict[str, Any]:
    return score_systems([System("", "ours", path, rows)], protocols=("full",), resamples=20, with_meteor=False)


def write_reports(path: Path, rows: list[Line]) -> Path:
    memory = [{"study_id": "t1", "weight": 0.5, "text": f"Recalled. {ATTACK}"}]
    regions = [{"study_id": "", "finding": "Edema", "weight": 0.25, "box": None}]
    content = [
        {"study_id": line.study_id, "generated": line.generated, "reports": memory, "regions": regions} for line in rows
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    return path


@pytest.fixture
def page(tmp_path: Path) -> Path:
    rows = lines(40)
    reports = write_reports(tmp_path / "reports.jsonl", rows)
    scores = scored(rows, reports)
    grid = (100 * np.eye(7)).astype(int).tolist()
    kept = {study: {"image": PIXEL, "maps": {"Edema (p = 0.9)": grid}, "shift": 0.5} for study in cases(scores, 3)}
    return write_page(tmp_path / "report.html", reports, rows, scores, Films(kept, "No film of this study."))


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


def test_cases_are_the_worst_and_the_best() -> None:
    studies = {"f1": [0.5, 0.0, 1.0, 0.0, 1.0], "cider": [1.0, 2.0, 3.0, 1.0, 9.0], "study_id": list("abcde")}
    assert cases({"studies": studies}, 2) == ["d", "b", "c", "e"]
    assert sorted(cases({"studies": studies}, 3)) == list("abcde")


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
    films = Films({"s0000": {"image": PIXEL, "maps": {}, "shift": 0.0}}, "")
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
    text = render(page_data(reports, rows, scored(rows, reports), NO_FILMS))
    assert "<title>Generated reports: &lt;b>{{data}}/reports.jsonl</title>" in text


def with_another(path: Path) -> tuple[Path, list[Line], dict[str, Any]]:
    """Reports, and their scores beside another file's."""
    rows = lines(40)
    reports = write_reports(path / "reports.jsonl", rows)
    others = [line._replace(generated=REFERENCES[0]) for line in rows]
    systems = [System("", "ours", reports, rows), System("against", "<b>other", path / "other.jsonl", others)]
    return reports, rows, score_systems(systems, protocols=("full",), resamples=20, with_meteor=False)


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


# --- in a browser -----------------------------------------------------------------------------------------------------
@pytest.fixture
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    if BROWSER is None:
        pytest.skip("no chromium")
    with playwright.sync_playwright() as started:
        yield started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])


def opened(browser: Any, path: Path) -> tuple[Any, list[str], list[str]]:
    """The page, what it complained of, and what it asked of a network."""
    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector(".row")
    pictures = os.environ.get("AMMRG_SCREENSHOTS")
    if pictures:
        page.screenshot(path=f"{pictures}/{path.parent.name}.png", full_page=True)
    return page, complaints, asked


def ids(page: Any) -> list[str]:
    return [row.get_attribute("data-id") for row in page.locator(".row").all()]


@pytest.mark.slow
def test_filter_and_sort_work_and_no_script_of_a_report_runs(browser: Any, page: Path) -> None:
    shown, complaints, asked = opened(browser, page)
    rows = {line.study_id: line for line in lines(40)}
    assert shown.locator("#count").inner_text() == "40 of 40 studies"
    f1 = [float(row.locator("span").nth(1).inner_text()) for row in shown.locator(".row").all()]
    assert f1 == sorted(f1)
    shown.get_by_role("button", name="best first").click()
    assert float(shown.locator(".row").first.locator("span").nth(1).inner_text()) == 1.0
    shown.locator("#head button", has_text="study").click()
    assert ids(shown)[:3] == ["s0000", "s0001", "s0002"]
    shown.locator("#head button", has_text="study").click()
    assert ids(shown)[0] == "s0039"

    shown.select_option("#finding", label="Pleural Effusion")
    shown.select_option("#relation", "missed")
    effusion = REFERENCES[1]
    missed = [study for study, line in rows.items() if line.reference == effusion and line.generated != effusion]
    assert 0 < len(missed) < 10
    assert sorted(ids(shown)) == missed
    shown.select_option("#relation", "agreed")
    assert all(rows[study].generated == effusion for study in ids(shown))
    shown.locator("#bars button", has_text="Cardiomegaly").click()
    assert all("ardiomegaly" in rows[study].reference for study in ids(shown))
    shown.locator("#bars button", has_text="Cardiomegaly").click()
    shown.select_option("#relation", "any")
    shown.fill("#search", "s0001")
    assert ids(shown) == ["s0001"]

    detail = shown.locator("#detail")
    assert "<script>document.title='ran'</script>" in detail.inner_text()
    assert "Recalled. </script>" in detail.inner_text()
    assert detail.locator(".alone").first.inner_text().lower() == "edema"
    assert detail.locator("b", has_text="No edema").count() == 0
    shown.fill("#search", "")
    shown.check("#with-film")
    assert shown.locator("#count").inner_text() == "6 of 40 studies"
    assert detail.locator("canvas").count() == 1
    assert detail.locator("img").count() == 2  # the film, and the film under its map
    assert detail.locator("figcaption").all_inner_texts() == ["film", "map of Edema (p = 0.9)"]
    assert shown.title().startswith("Generated reports: ")
    assert complaints == []
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}


@pytest.mark.slow
def test_a_narrow_window_shows_differences_and_cuts_nothing_off(browser: Any, tmp_path: Path) -> None:
    reports, rows, scores = with_another(tmp_path)
    shown, complaints, _ = opened(browser, write_page(tmp_path / "report.html", reports, rows, scores))
    assert shown.locator("#differences h3").inner_text().lower() == "ours minus <b>other"
    assert shown.locator("#differences tbody tr").count() == 6 + 7  # of words, clinical
    assert shown.locator("#sentences li.doubt").count() == len(scores["alarms"]) > 0
    shown.set_viewport_size({"width": 420, "height": 900})
    if os.environ.get("AMMRG_SCREENSHOTS"):
        shown.screenshot(path=f"{os.environ['AMMRG_SCREENSHOTS']}/narrow.png", full_page=True)
    assert shown.evaluate("document.documentElement.scrollWidth") <= 420
    assert complaints == []


@pytest.mark.slow
def test_thousands_of_studies_stay_quick(browser: Any, tmp_path: Path) -> None:
    rows = lines(5000)
    reports = write_reports(tmp_path / "reports.jsonl", rows)
    path = write_page(tmp_path / "report.html", reports, rows, scored(rows, reports))
    shown, complaints, _ = opened(browser, path)
    assert shown.locator(".row").count() < 60
    took = shown.evaluate(
        """async () => {
            const scroller = document.getElementById("scroller"), start = performance.now();
            for (let i = 1; i <= 50; i++) {
                scroller.scrollTop = i * 2900;
                await new Promise(requestAnimationFrame);
                await new Promise(requestAnimationFrame);
            }
            return (performance.now() - start) / 50;
        }"""
    )
    assert took < 200  # ms for two frames; a list of 5,000 elements takes longer to lay out once
    assert shown.locator(".row").count() < 60
    last = shown.locator(".row").last.get_attribute("data-id")
    assert last != ids(shown)[0]
    start = shown.evaluate("performance.now()")
    shown.select_option("#finding", label="Cardiomegaly")
    assert shown.evaluate("performance.now()") - start < 2000
    assert complaints == []
