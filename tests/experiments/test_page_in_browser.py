"""report.html as a reader sees and uses it, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from ammrg.evaluation.page.writing import Films, page_data, rendered, write_page
from ammrg.evaluation.predictions import Line
from ammrg.evaluation.score_table import ALL_COLUMNS
from ammrg.notice import NOTICE
from tests.browser import contrast, opened, pictured
from tests.scored_pages import REFERENCES, film_of, lines, page_of, run_of, scored, with_another, write_reports

LONG = "Herzinsuffizienzstadienabhängigkeitsuntersuchungsergebniszusammenstellung" * 2
PHONE = {"width": 390, "height": 844}


def ids(page: Any) -> list[str]:
    return [row.get_attribute("data-id") for row in page.locator(".row").all()]


def cells(page: Any, column: int) -> list[str]:
    return [row.locator("span[role=gridcell]").nth(column).inner_text() for row in page.locator(".row").all()]


def run_page(folder: Path, reports: list[tuple[str, str]], **changed: Any) -> Path:
    """The page of a run whose studies all have a film; ``changed`` replaces parts of its data."""
    path, rows = run_of(folder, reports)
    films = Films({line.study_id: film_of() for line in rows}, "")
    data = page_data(path, rows, scored(rows, path), films)
    page = folder / "report.html"
    page.write_text(rendered({**data, "reasons": {"regions": 0.25, "reports": 0.25}, **changed}), encoding="utf-8")
    return page


def test_filter_and_sort_work_and_no_script_of_a_report_runs(chromium: Any, tmp_path: Path) -> None:
    shown, complaints, asked = opened(chromium, page_of(tmp_path).as_uri())
    rows = {line.study_id: line for line in lines(40)}
    assert shown.locator("#count").inner_text() == "40 of 40 studies"
    f1 = [float(cell) for cell in cells(shown, 1) if cell != "–"]
    assert f1
    assert f1 == sorted(f1)
    shown.get_by_role("button", name="best first").click()
    assert float(cells(shown, 1)[0]) == 1.0
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
    shown.fill("#search", "no such words")
    assert shown.locator("#count").inner_text() == "0 of 40 studies"
    assert detail.inner_text() == "No study is like this."
    shown.fill("#search", "")
    shown.check("#with-film")
    assert shown.locator("#count").inner_text() == "6 of 40 studies"
    assert detail.locator("img").count() == detail.locator("canvas").count() == 1
    assert detail.locator("figcaption").inner_text() == "map of Edema, probability 0.90"
    assert shown.title().startswith("Generated reports: ")
    assert complaints == []
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}


def test_a_study_in_which_neither_text_affirms_a_finding_has_a_dash_and_comes_last(
    chromium: Any, tmp_path: Path
) -> None:
    pairs = [("Edema.", "Left effusion."), ("Possible edema.", "Possible effusion."), ("Edema.", "Edema.")]
    shown, complaints, _ = opened(chromium, run_page(tmp_path, pairs).as_uri())
    assert cells(shown, 1) == ["0.000", "1.000", "–"]
    shown.get_by_role("button", name="best first").click()
    assert cells(shown, 1) == ["1.000", "0.000", "–"]
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_first_screen_has_verdicts_and_one_study(chromium: Any, tmp_path: Path, scheme: str) -> None:
    page = run_page(tmp_path, [("No edema.", "Left edema."), ("Left edema.", "Left edema.")] * 10)
    shown, complaints, _ = opened(chromium, page.as_uri(), scheme=scheme)
    pictured(shown, f"score-{scheme}")
    assert shown.locator("#notice").inner_text() == NOTICE
    for selector in (
        "#notice",
        "#verdicts-title",
        "#sentences li:first-child",
        "#detail .stage",
        "#detail .text >> nth=1",
    ):
        box = shown.locator(selector).bounding_box()
        assert box["y"] + box["height"] <= 900, selector
    for selector in (
        "body",
        ".note",
        "#notice",
        ".hit",
        ".doubt summary",
        ".same",
        ".contrary",
        "#bars .note",
        "#detail a",
    ):
        assert contrast(shown, selector) >= 4.5, selector
    assert shown.evaluate("getComputedStyle(document.body).colorScheme") == scheme
    doubts = shown.locator("#sentences li.doubt")
    assert (
        shown.locator("#verdicts-title").inner_text().startswith(f"What the scores say: {doubts.count() or 'no'} doubt")
    )
    first = doubts.first
    assert not first.locator("p").is_visible()
    first.locator("summary").click()
    assert first.locator("p b").count() > 0
    shown.evaluate("scrollTo(0, document.body.scrollHeight)")
    assert shown.locator("#notice").bounding_box()["y"] == 0  # in view wherever the reader is
    assert complaints == []


def test_a_study_has_film_map_bars_and_reasons(chromium: Any, tmp_path: Path) -> None:
    shown, complaints, _ = opened(chromium, run_page(tmp_path, [("No edema.", "Left edema.")] * 3).as_uri())
    detail = shown.locator("#detail")
    film = detail.locator("img")
    seen = "map of Edema, left lower, probability 0.90, above its threshold"
    assert film.get_attribute("alt") == f"Chest film of study s/0 ü. Found: Edema left lower. {seen}"

    canvas, slider = detail.locator("canvas"), detail.locator("input.opacity")
    assert canvas.evaluate("canvas => getComputedStyle(canvas).opacity") == "0.6"
    slider.focus()
    shown.keyboard.press("Home")
    assert canvas.evaluate("canvas => getComputedStyle(canvas).opacity") == "0"
    peak = "canvas => { const at = canvas.getContext('2d').getImageData(64, 64, 1, 1).data; return at[3] }"
    assert canvas.evaluate(peak) > 200  # the first cell, moved by half a cell
    detail.get_by_role("button", name="film only").click()
    assert detail.locator("canvas").count() == 0
    assert not slider.is_visible()
    assert film.get_attribute("alt").endswith("Found: Edema left lower. film only")

    stage = detail.locator(".stage")
    stage.focus()
    shown.keyboard.press("+")
    pane = "pane => new DOMMatrix(getComputedStyle(pane).transform)"
    assert shown.locator(".pane").evaluate(f"{pane[:8]}{pane[8:]}.a") == 1.5
    before = shown.locator(".pane").evaluate(f"{pane}.e")
    shown.keyboard.press("ArrowRight")
    assert shown.locator(".pane").evaluate(f"{pane}.e") == before - 40
    for _ in range(9):
        detail.get_by_role("button", name="zoom in").click(force=True)
    assert shown.locator(".pane").evaluate(f"{pane}.a") == 8
    assert detail.get_by_role("button", name="zoom in").is_disabled()
    detail.get_by_role("button", name="whole film").click()
    assert shown.locator(".pane").evaluate(f"{pane}.a") == 1

    bars = detail.locator(".probabilities li")
    assert bars.count() == 13
    assert bars.first.inner_text().split("\n")[0] == "Edema left lower"
    assert bars.first.get_attribute("title") == "Edema: 0.90, above its threshold 0.38"
    assert detail.locator(".probabilities .present").count() == 1
    rail, limit, fill = (bars.first.locator(part).bounding_box() for part in (".rail", ".limit", ".fill"))
    assert (limit["x"] + 1 - rail["x"]) / rail["width"] == pytest.approx(0.375, abs=0.02)
    assert fill["width"] / rail["width"] == pytest.approx(0.9, abs=0.02)

    told = detail.locator(".written").inner_text()
    reasons, _, similar = told.partition("Similar cases")
    assert "region of left Edema (t0): Left edema. reason (influence 0.50 nats, more than 0.25)" in reasons
    assert "Text 1." in reasons
    assert "Text 2." in similar
    assert "Text 2." not in reasons
    assert complaints == []


def test_each_study_has_an_address_that_opens_it(chromium: Any, tmp_path: Path) -> None:
    page = run_page(tmp_path, [("No edema.", "Left edema.")] * 200)
    address = f"{page.as_uri()}#{quote('s/150 ü', safe='')}"
    shown, complaints, _ = opened(chromium, address)
    chosen = "#list [aria-selected=true]"
    assert shown.locator("#detail h2").inner_text() == "Study s/150 ü"
    assert shown.locator(chosen).get_attribute("data-id") == "s/150 ü"
    assert shown.locator(chosen).is_visible()
    shown.locator("#list").focus()
    shown.keyboard.press("ArrowDown")
    following = shown.locator(chosen).get_attribute("data-id")
    assert shown.evaluate("decodeURIComponent(location.hash)") == f"#{following}" != "#s/150 ü"
    assert shown.locator("#said").inner_text().startswith(f"study {following}, ")
    assert shown.locator("#list").get_attribute("aria-activedescendant") == shown.locator(chosen).get_attribute("id")
    shown.get_by_role("button", name="previous study").press("Enter")
    assert shown.locator("#detail h2").inner_text() == "Study s/150 ü"
    shown.fill("#search", "s/77")
    assert ids(shown) == ["s/77 ü"]
    shown.evaluate(f"location.hash = {quote('s/3 ü', safe='')!r}")  # hidden by the filter, which gives way
    shown.wait_for_function("document.querySelector('#detail h2').textContent === 'Study s/3 ü'")
    assert shown.locator("#count").inner_text() == "200 of 200 studies"
    shown.goto(f"{page.as_uri()}#%E0%A4%A")  # no address at all
    shown.reload()
    assert shown.locator("#detail h2").inner_text() == "Study s/0 ü"
    assert complaints == []


def test_a_table_wider_than_the_page_says_that_it_scrolls(chromium: Any, tmp_path: Path) -> None:
    reports, rows, scores = with_another(tmp_path)
    shown, complaints, _ = opened(chromium, write_page(tmp_path / "report.html", reports, rows, scores).as_uri())
    assert shown.locator("#differences h3").inner_text() == "ours minus <b>other"
    compared = set(scores["comparisons"]["<b>other"]["full"]) & set(ALL_COLUMNS)
    assert shown.locator("#differences tbody tr").count() == len(compared) > 13
    assert shown.locator("#sentences li.doubt").count() == len(scores["alarms"]) > 0
    assert shown.locator("#verdicts li details").count() == len(scores["sentences"])
    assert shown.locator(".wide").count() > 4
    assert shown.locator(".hint:visible").count() == 0  # none is wider than a screen
    shown.set_viewport_size(PHONE)
    shown.wait_for_selector(".hint:visible")
    pictured(shown, "score-narrow")
    for box in shown.locator(".wide").all():
        scrolls = box.evaluate("box => box.scrollWidth > box.clientWidth + 1")
        assert box.locator("xpath=preceding-sibling::p").is_visible() == scrolls
        assert (box.get_attribute("tabindex") == "0") == scrolls
    assert shown.evaluate("document.documentElement.scrollWidth") <= 390
    assert complaints == []


def test_a_phone_shows_studies_before_tables_and_breaks_long_words(chromium: Any, tmp_path: Path) -> None:
    page = run_page(tmp_path, [(f"{LONG} edema.", f"Left edema, {LONG}.")] * 12, title=LONG)
    shown, complaints, _ = opened(chromium, page.as_uri(), **PHONE)
    pictured(shown, "score-phone")
    tops = [shown.locator(part).bounding_box()["y"] for part in ("#verdicts", "#detail", "#studies", "#summary")]
    assert tops == sorted(tops)
    assert shown.evaluate("document.documentElement.scrollWidth") <= 390
    sides = shown.evaluate(
        """[...document.querySelectorAll("#detail *, h1")].map((part) => part.getBoundingClientRect())
            .filter((box) => box.width > 1).map((box) => [box.left, box.right])"""
    )
    assert min(left for left, _ in sides) >= 0
    assert max(right for _, right in sides) <= 390
    shown.locator(".row").nth(3).click()
    shown.wait_for_timeout(50)
    assert 0 <= shown.locator("#detail").bounding_box()["y"] <= 60  # the study that was tapped is in view
    assert complaints == []


def test_paper_has_verdicts_study_and_tables_on_white(chromium: Any, tmp_path: Path) -> None:
    page = run_page(tmp_path, [("No edema.", "Left edema.")] * 12)
    shown, complaints, _ = opened(chromium, page.as_uri(), scheme="dark")
    shown.emulate_media(media="print")
    shown.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert shown.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for part in (
        "#notice",
        "#sentences li:first-child",
        "#detail img",
        "#summary table >> nth=0",
        "#bars",
        "#figures li >> nth=0",
    ):
        assert shown.locator(part).is_visible(), part
    for part in ("#studies", "#protocol", ".tools"):
        assert not shown.locator(part).is_visible(), part
    assert shown.pdf(format="A4").startswith(b"%PDF")
    assert complaints == []


def varied(count: int) -> list[Line]:
    """Studies of which no two have the same texts."""
    return [line._replace(generated=f"{line.generated} Number {i}.") for i, line in enumerate(lines(count))]


@pytest.mark.slow
def test_thousands_of_studies_stay_quick(chromium: Any, tmp_path: Path) -> None:
    rows = varied(5000)
    reports = write_reports(tmp_path / "reports.jsonl", rows)
    path = write_page(tmp_path / "report.html", reports, rows, scored(rows, reports))
    shown, complaints, _ = opened(chromium, path.as_uri())
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
