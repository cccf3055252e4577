"""report.html of a described study: what it holds, and what a reader sees of it in a real browser."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from ammrg.findings import ABNORMAL, FINDINGS
from ammrg.imaging.embedded import hundredths
from ammrg.imaging.panel import draw_case
from ammrg.inference.case_html.writing import case_data, write_case_html
from ammrg.inference.description import Description
from ammrg.inference.description_output import print_description
from ammrg.inference.report_generator import ReportGenerator
from ammrg.notice import NOTICE
from tests.browser import contrast, opened, pictured
from tests.studies.study_films import FRONT, SIDE, film

ATTACK = "</script><script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\">"
LONG = "Herzinsuffizienzstadienabhängigkeitsuntersuchungsergebniszusammenstellung" * 2


@pytest.fixture(scope="module")
def description(model: ReportGenerator) -> Description:
    """Of a study with a frontal and a lateral film."""
    return model.describe([film("1", "1.2.1", 1, PatientName="Doe^Jane", **FRONT), film("1", "1.2.1", 2, **SIDE)])


def test_the_page_holds_what_the_panel_shows(description: Description) -> None:
    data = case_data(description)
    page = description.page
    assert data["report"] == page.report
    assert data["warnings"] == list(page.warnings)
    assert data["notes"] == list(page.notes)
    assert {each["name"]: each["probability"] for each in data["findings"]} == page.probabilities
    assert {each["name"]: each["threshold"] for each in data["findings"]} == page.thresholds
    assert [each["projection"] for each in data["films"]] == ["frontal", "lateral"]
    assert [each["sides"] for each in data["films"]] == [["R", "L"], ["A", "P"]]
    assert {each["finding"]: each["film"] for each in data["maps"]} == page.map_films
    assert data["memory"]["reasons"] == page.reasons
    assert data["memory"]["similar"] == page.similar
    assert data["memory"]["sentence"] == page.memory
    assert data["notice"] == NOTICE


def test_the_page_is_one_file_escapes_everything_and_names_no_one(description: Description, tmp_path: Path) -> None:
    attacked = description._replace(report=ATTACK, warnings=[ATTACK])
    text = write_case_html(attacked, tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.count("<script") == text.count("</script>") == 2
    assert ATTACK not in text
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", text)
    assert "default-src 'none'" in text
    held = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert held is not None
    assert json.loads(held.group(1))["report"] == ATTACK
    for told in ("Doe", "1.2.1", *description.films):
        assert told not in text
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_map_is_kept_as_hundredths_of_its_maximum() -> None:
    assert hundredths(np.array([[0, 0.5], [1, 2]], np.float32)) == [[0, 25], [50, 100]]
    for flat in (0.0, np.nan, np.inf):
        assert hundredths(np.full((2, 2), flat, np.float32)) == [[0, 0], [0, 0]]


def changed(description: Description) -> Description:
    """The description with an edema on the left and nothing else, and with long words."""
    findings = {name: 0.9 if name == "Edema" else 0.125 for name in FINDINGS}
    return description._replace(
        findings=findings,
        thresholds=dict.fromkeys(FINDINGS, 0.375),
        places={"Edema": ("left", "lower")},
        report=f"Left edema. {LONG} {ATTACK}",
        warnings=[f"WARNING: {LONG}"],
        page=description.page._replace(
            maps={"Edema": np.eye(3, dtype=np.float32)},
            map_films={"Edema": 1},
            notes=["This model was trained.", "WARNING: unlike its films."],
        ),
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_reader_sees_report_film_and_findings_first(
    chromium: Any, description: Description, tmp_path: Path, scheme: str
) -> None:
    page = write_case_html(changed(description), tmp_path / "report.html")
    shown, complaints, asked = opened(chromium, page.as_uri(), scheme=scheme)
    pictured(shown, f"case-{scheme}")
    assert shown.locator("#notice").inner_text() == NOTICE
    assert shown.locator("#found").inner_text() == "Found: Edema (left lower)"
    assert ATTACK in shown.locator("#text").inner_text()
    assert shown.title().startswith("Chest films: study ")
    for selector in ("#found", "#text", "#warnings li", "#films .stage", "#bars li:first-child"):
        box = shown.locator(selector).bounding_box()
        assert box["y"] + box["height"] <= 900, selector
    for selector in ("body", "#found", "#text", "#warnings li", ".note", "#notice", ".warns"):
        assert contrast(shown, selector) >= 4.5, selector
    words = "map of Edema, left lower, probability 0.90, above its threshold, film 2"
    image = shown.locator("#films img")
    assert image.get_attribute("alt").endswith(f"Found: Edema (left lower). {words}")
    assert shown.locator(".edge").all_inner_texts() == ["A", "P"]
    shown.get_by_role("button", name="film 1, frontal").click()
    assert shown.locator(".edge").all_inner_texts() == ["R", "L"]
    assert shown.locator("#films canvas").count() == 0
    assert shown.locator("#bars li").count() == 14
    assert shown.locator("#bars .present").inner_text().split("\n")[0] == "Edema left lower"
    assert complaints == []
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}


def test_films_keep_their_shape(chromium: Any, model: ReportGenerator, tmp_path: Path) -> None:
    films = [np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8) for shape in ((80, 60), (50, 100))]
    found = model.describe(films)
    shown, complaints, _ = opened(chromium, write_case_html(found, tmp_path / "report.html").as_uri())
    for number, ratio in ((1, 60 / 80), (2, 100 / 50)):
        shown.get_by_role("button", name=f"film {number}, frontal").click()
        for part in ("#films .stage", "#films img"):
            box = shown.locator(part).bounding_box()
            assert box["width"] / box["height"] == pytest.approx(ratio, rel=0.01), part
    shown.locator("#films .pictures button").first.click()
    size = shown.locator("#films canvas").evaluate("canvas => canvas.width / canvas.height")
    assert size == pytest.approx((60 / 80, 100 / 50)[next(iter(found.page.map_films.values()))], rel=0.01)
    assert complaints == []
    drawn: list[Figure] = []
    save = Figure.savefig
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", lambda figure, *a, **b: (drawn.append(figure), save(figure, *a, **b)))
        draw_case(found.page, tmp_path / "panel.png")
    boxes = [axes.get_window_extent() for axes in drawn[0].axes if axes.images]
    assert [box.width / box.height for box in boxes[:2]] == pytest.approx([60 / 80, 100 / 50], rel=0.01)


def test_a_probability_just_above_its_threshold_is_shown_above_it(
    chromium: Any, description: Description, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    close = description._replace(
        findings=dict.fromkeys(FINDINGS, 0.1) | {"Edema": 0.0213},
        thresholds=dict.fromkeys(FINDINGS, 0.9) | {"Edema": 0.0198},
    )
    shown, complaints, _ = opened(chromium, write_case_html(close, tmp_path / "report.html").as_uri())
    pictured(shown, "case-close")
    bar = shown.locator("#bars .present")
    assert bar.get_attribute("title") == "Edema: 0.021, above its threshold 0.020"
    assert "0.021" in bar.locator(".value").inner_text()
    left = [rail.bounding_box()["width"] for rail in shown.locator("#bars .rail").all()]
    assert max(left) - min(left) < 1  # bars of one scale, whatever stands beside them
    assert complaints == []
    print_description(close)
    (row,) = (line.split() for line in capsys.readouterr().out.splitlines() if "Edema" in line and "present" in line)
    assert {"0.021", "0.020"} <= set(row)


def test_a_phone_shows_all_of_it_in_one_column(chromium: Any, description: Description, tmp_path: Path) -> None:
    page = write_case_html(changed(description), tmp_path / "report.html")
    shown, complaints, _ = opened(chromium, page.as_uri(), width=390, height=844)
    pictured(shown, "case-phone")
    assert shown.evaluate("document.documentElement.scrollWidth") <= 390
    tops = [shown.locator(part).bounding_box()["y"] for part in ("#report", "#films", "#findings", "#memory", "#notes")]
    assert tops == sorted(tops)
    assert complaints == []


def test_a_study_without_findings_says_so(chromium: Any, description: Description, tmp_path: Path) -> None:
    clear = changed(description)._replace(findings={FINDINGS[i]: 0.125 if i in ABNORMAL else 0.9 for i in range(14)})
    shown, complaints, _ = opened(chromium, write_case_html(clear, tmp_path / "report.html").as_uri())
    assert shown.locator("#found").inner_text() == "No abnormal finding is above its threshold."
    assert "Nothing is found." in shown.locator("#films img").get_attribute("alt")
    assert shown.locator("#bars .present").inner_text().split("\n")[0] == "No Finding"
    assert complaints == []
