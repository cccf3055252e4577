"""The page in a browser: what a person sees and does, from a dropped study to its report.json, and bad input."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from ammrg.demo.app import build
from ammrg.demo.asked import Asked
from ammrg.demo.cases import Case
from ammrg.demo.desk import Desk
from ammrg.errors import ReadError
from ammrg.inference.description import Description
from ammrg.notice import NOTICE
from ammrg.service.scratch import Scratch
from tests.browser import opened, pictured
from tests.demo.test_app import BAD
from tests.studies.study_films import FRONT, SIDE, film

pytestmark = pytest.mark.slow
WATCH = """
window.written = [];
document.addEventListener("DOMContentLoaded", () => new MutationObserver(() => {
  const text = document.getElementById("text");
  if (text.classList.contains("writing")) window.written.push(text.textContent);
}).observe(document.getElementById("text"), {childList: true, subtree: true, characterData: true}));
"""
"""Keeps every state of the report while it is written."""


@pytest.fixture(scope="module")
def address(desk: Desk, examples: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    scratch = Scratch(tmp_path_factory.mktemp("scratch"))
    app = build(desk, scratch, examples[0].parent)
    _, url, _ = app.launch(
        server_name="127.0.0.1", quiet=True, share=False, prevent_thread_lock=True, ssr_mode=False, mcp_server=False
    )
    yield url
    app.get_blocks().close()
    scratch.close()


@pytest.fixture
def page(chromium: Any, address: str) -> Iterator[Any]:
    """The page, open; it may ask for nothing of another place."""
    shown = opened(chromium, address)
    shown.page.add_init_script(WATCH)
    shown.page.reload()
    shown.page.complaints = shown.complaints
    shown.page.wait_for_selector("#examples button")
    yield shown.page
    assert [url for url in shown.asked if not url.startswith((address, "data:"))] == []
    shown.page.close()


def two_views(folder: Path) -> list[Path]:
    paths = [folder / "front.dcm", folder / "side.dcm"]
    for number, (path, tags) in enumerate(zip(paths, (FRONT, SIDE), strict=True), 1):
        path.write_bytes(film("1", "1.2.1", number, **tags))
    return paths


def described(page: Any) -> None:
    page.wait_for_selector("#text:not(.writing)", timeout=120_000)
    page.wait_for_selector("#downloads:not([hidden])", timeout=120_000)


def maps(page: Any) -> list[str]:
    """The maps that lie over films now."""
    return [layer.get_attribute("alt") for layer in page.locator(".plate .map").all()]


def test_a_study_from_drop_to_download(page: Any, tmp_path: Path) -> None:
    assert page.locator("#notice").inner_text() == NOTICE
    page.set_input_files("#files", two_views(tmp_path))
    described(page)
    assert page.locator("figure").count() == 2
    assert page.locator("figure").nth(0).locator("b").all_inner_texts() == ["R", "L"]
    assert "2 · lateral side.dcm" in page.locator("figcaption").nth(1).inner_text()
    assert page.locator("#text").inner_text().strip() == "Edema on the left."
    written = [text for text in dict.fromkeys(page.evaluate("window.written")) if text]
    assert len(written) > 1
    assert all("Edema on the left.".startswith(text) for text in written)

    # The place of a finding; a sentence that names it shows the same.
    page.keyboard.press("Escape")
    assert maps(page) == []
    shown = {}
    for button in page.locator("#findings button").all():
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
        name = button.get_attribute("data-findings")
        assert name in page.locator("#place-of").inner_text()
        shown[name] = maps(page)
    assert len(shown) == 14
    assert {len(found) for found in shown.values()} <= {0, 1}
    sentence = page.locator("#text button")
    sentence.click()
    assert sentence.get_attribute("aria-pressed") == "true"
    pressed = page.locator("#findings button[aria-pressed=true]")
    assert [each.get_attribute("data-findings") for each in pressed.all()] == ["Edema"]
    assert maps(page) == shown["Edema"]
    sentence.click()
    assert maps(page) == []
    seen = next(name for name, found in shown.items() if found)
    page.locator(f"#findings button[data-findings='{seen}']").click()
    page.locator("#opacity").focus()
    page.keyboard.press("Home")
    assert page.locator(".map").evaluate("layer => layer.style.opacity") == "0"
    assert page.locator("#place output").inner_text() == "0%"
    page.keyboard.press("Escape")
    assert maps(page) == []

    cards = page.locator("#cards li")
    assert cards.count() > 1
    for card in cards.all():
        assert card.locator(".kind").inner_text().lower() in ("reason", "similar case")
        assert "weight" in card.inner_text()
    assert "phantom" in page.locator("#trained-on").inner_text()
    assert "not known" in page.locator("#distance-says").inner_text()

    with page.expect_download(timeout=180_000) as download:
        page.click("#get-json")
    report = json.loads(Path(download.value.path()).read_text())
    assert (report["report"], report["notice"], report["memories"]) == ("Edema on the left.", NOTICE, "on")
    wanted = page.locator("#get-dicom").get_attribute("href")  # what it gives: tests/demo/test_desk.py
    assert wanted.endswith("/documents.zip?memories=true&mirrored=false&operating_point=0.5&projections=")
    pictured(page, "demo-described")
    assert page.complaints == []


def test_memories_off_and_mirrored_films_are_marked(page: Any, tmp_path: Path) -> None:
    page.set_input_files("#files", two_views(tmp_path))
    described(page)
    page.locator("#memories").uncheck()
    described(page)
    page.wait_for_selector("#marks:not([hidden])")
    assert page.locator("#how").inner_text() == "memories off"
    assert page.locator("#text del").count() > 0
    assert "switched off" in page.locator("#memory").inner_text()
    assert page.locator("#cards li").count() == 0
    page.locator("#memories").check()
    page.wait_for_selector("#cards li")
    page.locator("#mirrored").check()
    page.wait_for_selector("#sides:not([hidden])")
    assert page.locator("#sides li").all_inner_texts() == ["Edema: left → left"]
    assert "does not look" in page.locator("#sides").inner_text()
    assert page.locator("img.flipped").count() == 2
    assert page.locator("#warnings li").first.inner_text().startswith("The films were flipped")
    assert page.locator("#get-dicom").get_attribute("href") is None
    pictured(page, "demo-mirrored")
    assert page.complaints == []


def test_the_dial_moves_the_thresholds(page: Any) -> None:
    page.locator("#examples button").first.click()
    described(page)
    page.locator("#operating_point").focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    assert page.locator("#dial output").inner_text() == "0.25"
    page.get_by_text("Read at operating point 0.25 (sensitive)").wait_for(timeout=120_000)
    assert page.locator("#findings .was-limit").count() > 0
    assert page.locator("#findings button").first.get_attribute("title") == "threshold 0.25"


def test_the_projection_of_each_film_may_be_chosen(page: Any, tmp_path: Path) -> None:
    page.set_input_files("#files", two_views(tmp_path))
    described(page)
    choice = page.get_by_label("Film 2: its projection")
    assert choice.input_value() == ""
    choice.focus()
    choice.select_option("frontal")
    page.get_by_text("Film 2: named as frontal, but PatientOrientation is P\\F").wait_for(timeout=120_000)
    described(page)
    assert "2 · frontal side.dcm (named as frontal)" in page.locator("figcaption").nth(1).inner_text()
    assert page.locator("#how").inner_text() == "film 2 as frontal"
    assert page.evaluate("document.activeElement.ariaLabel") == "Film 2: its projection"
    with page.expect_download(timeout=180_000) as download:
        page.click("#get-json")
    report = json.loads(Path(download.value.path()).read_text())
    assert [view["projection"] for view in report["views"]] == ["frontal", "frontal"]
    pictured(page, "demo-chosen")
    choice.select_option("")
    page.locator("#how", has_text="as trained").wait_for()
    assert "2 · lateral" in page.locator("figcaption").nth(1).inner_text()
    page.locator("#examples button").first.click()
    page.locator("figcaption", has_text="2 lateral.png").wait_for()
    assert page.get_by_label("Film 1: its projection").input_value() == ""
    assert page.complaints == []


def test_the_keyboard_is_enough(page: Any) -> None:
    page.locator("#examples button").first.focus()
    page.keyboard.press("Enter")
    described(page)
    page.locator("#memories").focus()
    page.keyboard.press("Space")
    page.wait_for_selector("#marks:not([hidden])")
    page.locator("#findings button").nth(2).focus()
    page.keyboard.press("Enter")
    assert page.locator("#findings button").nth(2).get_attribute("aria-pressed") == "true"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('#findings') !== null")
    page.locator("#opacity").focus()
    page.keyboard.press("Home")
    assert page.locator("#place output").inner_text() == "0%"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_it_fits_and_the_notice_stays_in_view(page: Any, width: int, scheme: str) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(color_scheme=scheme)
    page.locator("#examples button").first.click()
    described(page)
    page.evaluate(
        "for (const name of document.querySelectorAll('#findings .name, #text, #cards h3, #warnings, figcaption'))"
        " name.append(' Rechtsherzinsuffizienzverdachtsabklaerungsuntersuchungsbefundbericht')"
    )
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    box = page.locator("#notice").bounding_box()
    assert 0 <= box["y"] < 120
    assert page.evaluate("document.documentElement.classList.contains('dark')") == (scheme == "dark")
    page.select_option("#theme", "light" if scheme == "dark" else "dark")
    assert page.evaluate("document.documentElement.classList.contains('dark')") == (scheme == "light")


def test_a_dropped_folder_is_a_sentence_and_a_dropped_film_is_read(page: Any, tmp_path: Path) -> None:
    films = two_views(tmp_path)
    wire = page.context.new_cdp_session(page)

    def drop(path: Path) -> None:
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            wire.send("Input.dispatchDragEvent", {"type": kind, "x": 200, "y": 200, "data": data})

    page.locator("#examples button").first.click()
    described(page)
    drop(tmp_path)
    page.get_by_text(f"{tmp_path.name} is a folder: drop the films in it, or a zip archive of it.").wait_for()
    assert page.locator("#case").is_hidden()
    drop(films[0])
    described(page)
    assert page.locator("#error").is_hidden()


def test_bad_input_is_a_sentence_on_the_page(page: Any, tmp_path: Path) -> None:
    for number, (name, (sent, said)) in enumerate(BAD.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        for _, (file, data) in sent:
            (folder / file).write_bytes(data)
        page.set_input_files("#files", sorted(folder.iterdir()))
        page.wait_for_selector("body:not(.busy) #error:not([hidden])")
        assert re.search(said, page.locator("#error").inner_text()), name
        assert page.locator("#case").is_hidden()
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(200_000_000)
    page.set_input_files("#files", tmp_path / "large.png")
    page.get_by_text("large.png: 200 MB, more than the 134 MB that a study may have here.").wait_for()
    pictured(page, "demo-refused")
    page.locator("#examples button").first.click()
    described(page)
    assert page.locator("#error").is_hidden()


def test_an_error_never_stands_beside_what_was_written_before(
    page: Any, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.locator("#examples button").first.click()
    described(page)
    (tmp_path / "new.png").write_text("no film")
    page.set_input_files("#files", tmp_path / "new.png")
    page.wait_for_selector("body:not(.busy) #error:not([hidden])")
    assert "new.png" in page.locator("#error").inner_text()
    assert page.locator("#case").is_hidden()
    assert page.locator("#examples [aria-current]").count() == 0
    pictured(page, "demo-refused-after")

    page.locator("#examples button").first.click()
    described(page)
    assert page.locator("#error").is_hidden()

    def failing(case: Case, asked: Asked, texts: SimpleQueue[str | None]) -> Description:
        texts.put(None)
        raise ReadError("the model is not there any more")

    monkeypatch.setattr(desk, "_describe", failing)
    page.locator("#memories").uncheck()
    page.get_by_text("the model is not there any more").wait_for()
    assert page.locator("#films figure").count() == 2
    assert page.locator("#text").inner_text() == ""
    assert page.locator("#text.writing").count() == 0
    assert page.locator("#findings li").count() == 0
    assert page.locator("#downloads").is_hidden()
    pictured(page, "demo-failed")
    monkeypatch.undo()
    page.locator("#memories").check()
    described(page)
    assert page.locator("#findings li").count() == 14
    assert page.locator("#error").is_hidden()
    assert page.complaints == [
        "Failed to load resource: the server responded with a status of 422 (Unprocessable Entity)"
    ]


def test_of_two_studies_read_at_once_the_last_is_shown(page: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("no film")
    slow: list[Any] = []
    page.route("**/studies*", lambda route: slow.append(route) if not slow else route.continue_())
    page.set_input_files("#files", tmp_path / "bad.png")
    page.set_input_files("#files", two_views(tmp_path))
    described(page)
    slow[0].continue_()
    page.wait_for_load_state("networkidle")
    assert page.locator("#error").is_hidden()
    assert page.locator("#films figure").count() == 2
    assert page.locator("#case").is_visible()


def test_real_films_from_drop_to_download(page: Any, samples: Path) -> None:
    """Each real DICOM film by itself: a finding, the slider, each switch, and report.json."""
    paths = sorted(samples.glob("*/*.dcm"))
    assert paths
    for path in paths:
        page.reload()  # the switches are as at first
        page.wait_for_selector("#examples button")
        page.set_input_files("#files", path)
        page.locator("figcaption", has_text=path.name).wait_for(timeout=120_000)
        described(page)
        assert page.locator("figure img").first.evaluate("film => film.naturalWidth") > 256
        page.keyboard.press("Escape")
        page.locator("#findings button").first.click()
        assert page.locator("#findings button").first.get_attribute("aria-pressed") == "true"
        page.locator("#opacity").focus()
        page.keyboard.press("Home")
        assert page.locator("#place output").inner_text() == "0%"
        page.locator("#memories").uncheck()
        page.wait_for_selector("#marks:not([hidden])")
        described(page)
        assert "switched off" in page.locator("#memory").inner_text()
        page.locator("#operating_point").focus()
        page.keyboard.press("ArrowLeft")
        page.get_by_text("Read at operating point 0.45").wait_for(timeout=120_000)
        page.locator("#mirrored").check()
        page.wait_for_selector("#sides:not([hidden])")
        assert page.locator("img.flipped").count() == 1
        with page.expect_download(timeout=180_000) as download:
            page.click("#get-json")
        report = json.loads(Path(download.value.path()).read_text())
        assert (report["memories"], report["notice"], len(report["views"])) == ("off", NOTICE, 1)
        assert page.complaints == []
