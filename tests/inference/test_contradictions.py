"""What a user is warned of where a report contradicts the findings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from ammrg.documents.remarks import remarks
from ammrg.findings import FINDINGS
from ammrg.imaging.panel import CasePage, PageFilm, draw_case
from ammrg.inference.case_html.writing import case_data
from ammrg.inference.contradictions import contradictions
from ammrg.inference.description_output import print_description
from ammrg.inference.report_generator import ReportGenerator
from ammrg.text.self_contradictions import self_contradictions
from ammrg.types import GeneratedReport

THRESHOLDS = dict.fromkeys(FINDINGS, 0.4)


def warned(report: str, **present: float) -> list[str]:
    probabilities = {name: present.get(name.replace(" ", "_"), 0.1) for name in FINDINGS}
    return list(contradictions(report, probabilities, THRESHOLDS))


def test_a_denied_finding_of_the_table_is_named() -> None:
    assert warned("No edema. Small effusion.", Edema=0.83, Pleural_Effusion=0.5) == [
        "WARNING: the report denies Edema, but the findings table affirms it (probability 0.83, threshold 0.40)."
    ]


def test_an_affirmed_or_suspected_finding_that_the_table_lacks_is_named() -> None:
    assert warned("Edema. Left pneumothorax.", Edema=0.83, Pneumothorax=0.4) == [
        "WARNING: the report affirms Pneumothorax, but the findings table does not affirm it (probability 0.40, "
        "threshold 0.40)."
    ]
    assert warned("Possible left pneumothorax. Stable heart size.") == [
        "WARNING: the report suspects Pneumothorax, but the findings table does not affirm it (probability 0.10, "
        "threshold 0.40)."
    ]


def test_what_is_left_open_is_no_contradiction() -> None:
    assert warned("Possible edema. Large heart and no effusion.", Edema=0.83, Fracture=0.9, Cardiomegaly=0.5) == []
    assert warned("Stable heart size. No effusion.") == []
    assert warned("", Edema=0.9) == []
    assert warned("No acute disease.", No_Finding=0.0) == []


def test_no_finding_beside_an_abnormal_finding_is_named() -> None:
    assert warned("", No_Finding=0.5, Lung_Opacity=0.45, Edema=0.6, Support_Devices=0.9) == [
        "WARNING: the findings table contradicts itself: No Finding is above its threshold together with Lung Opacity, "
        "Edema; look at the film."
    ]
    assert warned("", No_Finding=0.5, Support_Devices=0.9) == warned("", Lung_Opacity=0.45) == []


@pytest.mark.parametrize(
    ("report", "name", "words"),
    [
        ("No effusion. Small left effusion.", "Pleural Effusion", '"Small left effusion" and "No effusion"'),
        ("Left effusion, no effusion on the left.", "Pleural Effusion", '"Left effusion, no effusion on the left"'),
        (
            "Heart size is normal. The heart is enlarged.",
            "Cardiomegaly",
            '"The heart is enlarged" and "Heart size is normal"',
        ),
        ("No nodule. Nodules in both lungs.", "Lung Lesion", '"Nodules in both lungs" and "No nodule"'),
    ],
)
def test_a_report_that_contradicts_itself_is_quoted(report: str, name: str, words: str) -> None:
    assert list(self_contradictions(report)) == [f"WARNING: the report both affirms and denies {name}: {words}."]


def test_what_a_report_suspects_and_denies_is_quoted() -> None:
    said = "Possible faint mid lung consolidation on the left. There is no focal consolidation."
    assert list(self_contradictions(said)) == [
        'WARNING: the report both suspects and denies Consolidation: "Possible faint mid lung consolidation on the '
        'left" and "There is no focal consolidation".'
    ]
    (warned,) = self_contradictions("Possible effusion. No effusion. Left effusion.")
    assert "both affirms and denies" in warned


@pytest.mark.parametrize(
    "report",
    [
        "There is a small right pleural effusion. There is a moderate right pleural effusion.",
        "Mild edema. Moderately severe edema.",
        "Large effusion and trace pleural effusion.",
    ],
)
def test_a_finding_of_two_sizes_is_quoted(report: str) -> None:
    (warned,) = self_contradictions(report)
    assert warned.startswith("WARNING: the report says two sizes of ")


@pytest.mark.parametrize(
    "report",
    [
        "No left effusion. Right effusion.",
        "Small effusion. No effusion on the right.",
        "No left effusion. Possible right effusion.",
        "No large effusion. Possible effusion.",
        "Stable heart. No cardiomegaly.",
        "Small left effusion. Large right effusion.",
        "Small to moderate effusion. Moderate effusion.",
        "Small effusion. Small to moderate right effusion.",
        "Tiny effusion. A small effusion. An effusion.",
        "Small nodule. Large mass.",
        "Large effusion. Mild edema.",
        "No large effusion. Small left effusion.",
        "No new fracture. Old rib fracture.",
        "No mass. Nodule in the left base.",
        "No pacemaker. Endotracheal tube in place.",
        "Edema. No effusion.",
        "",
    ],
)
def test_what_goes_together_is_no_contradiction(report: str) -> None:
    assert list(self_contradictions(report)) == []


@pytest.mark.parametrize("said", ["denies", "affirms", "both affirms and denies"])
def test_a_description_carries_the_warnings(
    model: ReportGenerator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    said: str,
) -> None:
    from PIL import Image

    film = tmp_path / "film.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 50), np.uint8)).save(film)
    thresholds = model.network.classifier.thresholds
    before = thresholds.clone()
    text = {"denies": "No edema.", "affirms": "Edema."}.get(said, "No edema. Edema on the left.")
    thresholds.fill_(1.0)
    thresholds[FINDINGS.index("Edema")] = 1.0 if said == "affirms" else 0.0

    def written(batch: Any, memories: str, **settings: Any) -> list[GeneratedReport]:
        return [GeneratedReport("film", text, dict.fromkeys(FINDINGS, 0.5), [], [])]

    monkeypatch.setattr(model.network, "generate", written)
    try:
        found = model.describe([film])
    finally:
        thresholds.copy_(before)
    assert len(found.warnings) == 1
    assert f"the report {said} Edema" in found.warnings[0]
    assert found.as_json()["warnings"] == found.warnings == list(found.page.warnings)
    assert case_data(found)["warnings"] == found.warnings
    assert set(found.warnings) <= set(remarks(found))
    print_description(found)
    assert " ".join(capsys.readouterr().out.split()).count(found.warnings[0]) == 1


def drawn(monkeypatch: pytest.MonkeyPatch, path: Path, report: str, warnings: list[str]) -> list[str]:
    """The texts on the page."""
    figures: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda figure, *words, **how: (figures.append(figure), save(figure, *words, **how))
    )
    film = np.zeros((8, 8), np.uint8)
    probabilities = dict.fromkeys(FINDINGS, 0.1)
    notes = ["This model was trained.", "Distance."]
    page = CasePage(
        [PageFilm(film)], {}, probabilities, THRESHOLDS, report, None, title="s", notes=notes, warnings=warnings
    )
    draw_case(page, path)
    return [text.get_text().replace("\n", " ") for text in figures[0].texts]


def test_the_page_shows_as_many_warnings_as_there_is_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings = [f"WARNING: the report denies {name}, but the findings table affirms it." for name in FINDINGS]
    for words, count in ((1, 2), (60, 14)):
        report = "effusion " * words
        (block,) = (
            text for text in drawn(monkeypatch, tmp_path / "page.png", report, warnings[:count]) if "WARN" in text
        )
        shown = block.count("WARNING")
        assert block.startswith(warnings[0])
        assert ("more" in block) == (shown < count)
        assert shown == count or block.endswith(f"and {count - shown} more")
    assert 0 < shown < 14
    for report, some in (("effusion " * 400, warnings), ("effusion", [])):
        assert not [text for text in drawn(monkeypatch, tmp_path / "page.png", report, some) if "WARN" in text]
