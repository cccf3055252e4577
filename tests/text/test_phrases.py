"""The labeler's tables of names and states, entry by entry: each is read where a report uses it."""

from __future__ import annotations

import math

import pytest

from ammrg.findings import FINDINGS
from ammrg.text.findings_phrases import MISREADINGS, OTHER, TABLE
from ammrg.text.labeler import label, mentions
from ammrg.text.patterns import pattern

NAMES = {
    "Enlarged Cardiomediastinum": "mediastinal widening, widening of the superior mediastinum, widened mediastinum",
    "Cardiomegaly": "cardiomegaly, cardiac enlargement, enlargement of the heart",
    "Lung Opacity": "opacity, air space disease, infiltrate, interstitial markings, reticulation, scarring, "
    "peribronchial thickening, increased density",
    "Lung Lesion": "masses, nodule, nodular left focus, masslike, tumor, neoplasm, malignancy, metastases, "
    "cavitary left lesion, carcinoma, pulmonary lesion",
    "Edema": "oedema, heart failure, CHF",
    "Consolidation": "consolidation",
    "Pneumonia": "bronchopneumonia, pneumonitis, infection, infectious process",
    "Atelectasis": "atelectasis, lobar collapse, collapse of the left lower lobe",
    "Pneumothorax": "hydropneumothorax",
    "Pleural Effusion": "pleural effusions, haemopneumothorax, pleural fluid, costophrenic angle blunting",
    "Pleural Other": "pleural plaques, fibrothorax, fibrosis",
    "Fracture": "fractures",
    "Support Devices": "support apparatus, closure device, catheter, subclavian line, PICC, pacemaker, pacer, "
    "pacing leads, ICD, AICD, defibrillator, feeding tube, tube, tracheostomy, port-a-cath, mediport, "
    "drain, valve replacement, artificial aortic valve, valve prosthesis, sternotomy wires, wires, graft markers, "
    "stimulator, balloon pump, screws, metallic plate, arthroplasty, hardware, intubated",
    OTHER: "granuloma, degeneration, levoscoliosis, kyphosis, osteoarthritis, emphysema, bullae, hyperinflation, "
    "hernia, calcification, atherosclerosis, tortuous, ectasia, ectatic, aneurysm, deformity, wedging, eventration, "
    "elevated left hemidiaphragm, flattening, blunting, lymphadenopathy, density, volume loss, bullet, pectus, "
    "azygos fissure, prominent left hilum, bihilar enlargement, prominence of the apex",
}
ORGANS = {
    "Enlarged Cardiomediastinum": "cardiomediastinal silhouette, cardiomediastinum, heart and mediastinal silhouette, "
    "mediastinal and hilar contours, mediastinum",
    "Cardiomegaly": "size of the heart, heart size, heart shadow, heart, cardiac contour, "
    "cardiac and mediastinal contours",
}
ROWS = {row.finding: row for row in TABLE}


def said(text: str, finding: str) -> list[tuple[str, float]]:
    """The phrase and label of each mention of a finding."""
    return [(mention.phrase, mention.label) for mention in mentions(text) if mention.finding == finding]


@pytest.mark.parametrize("finding", NAMES)
def test_each_name_is_read_whole_present_and_denied(finding: str) -> None:
    for name in NAMES[finding].split(", "):
        assert said(f"Again {name}.", finding) == [(name, 1)]
        assert said(f"No {name}.", finding) == [(name, 0)]


@pytest.mark.parametrize("finding", ORGANS)
def test_the_state_of_each_organ_decides(finding: str) -> None:
    for organ in ORGANS[finding].split(", "):
        assert said(f"Enlarged {organ}.", finding) == [(organ, 1)]
        assert said(f"Unremarkable {organ}.", finding) == [(organ, 0)]
        assert said(f"Seen is the {organ}.", finding) == []


@pytest.mark.parametrize("finding", ROWS)
def test_each_entry_has_an_example(finding: str) -> None:
    row = ROWS[finding]
    for entries, examples in ((row.mentions, NAMES[finding]), (row.structures, ORGANS.get(finding, ""))):
        for entry in entries:
            names = examples.lower().split(", ")
            assert any(pattern([entry]).fullmatch(name) for name in names), entry


@pytest.mark.parametrize("hint", ["Pulmonary vascular congestion", "Vascular prominence"])
def test_a_sign_of_edema_is_a_doubt(hint: str) -> None:
    assert said(f"{hint}.", "Edema") == [(hint, -1)]
    assert said(f"No {hint}.", "Edema") == [(hint, 0)]


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("Increased heart rate.", "Cardiomegaly"),
        ("Prominent left heart border.", "Cardiomegaly"),
        ("Prominent right heart border.", "Cardiomegaly"),
        ("The hernia behind the heart is large.", "Cardiomegaly"),
        ("Obstructive lung disease.", "Lung Opacity"),
        ("Clearing of the left basal opacities.", "Lung Opacity"),
        ("A calcified small nodule.", "Lung Lesion"),
        ("Knee effusion.", "Pleural Effusion"),
        ("Portable film. A portion of the film.", "Support Devices"),
        ("Decreased bone density.", OTHER),
    ],
)
def test_a_name_in_a_wider_phrase_does_not_count(text: str, finding: str) -> None:
    assert said(text, finding) == []


@pytest.mark.parametrize(
    ("expected", "states"),
    [
        (
            0,
            "normal, unremarkable, within the limits, within limits, not enlarged, nor dilated, not unduly prominent, "
            "nonenlarged, of no enlargement, intact, top normal",
        ),
        (
            1,
            "enlarged, prominent, widened, increased, large, abnormally wide, dilated, abnormal, accentuated, "
            "borderline, high normal, upper limits of normal, at the upper limit, at the top limits",
        ),
        (-1, "stable, unchanged, not significantly changed, similar"),
    ],
)
def test_each_state_of_an_organ(expected: float, states: str) -> None:
    for state in states.split(", "):
        assert [value for _, value in said(f"The heart is {state}.", "Cardiomegaly")] == [expected], state


def test_each_misreading_of_chexpert_is_put_on_only_when_asked() -> None:
    examples = (
        "Heart and mediastinum within normal limits.",
        "The heart and mediastinal contours are stable.",
        "A diaphragmatic contour irregularity.",
        "Stomach contours.",
        "The lungs and contours.",
        "Normal heart size mediastinal.",
        "The heart size and pulmonary vascularity appear normal.",
        "Heart size and mediastinal contours appear normal.",
        "The heart and lungs have not changed.",
        "Heart and mediastinal contours are not enlarged.",
        "Given technical factors heart is normal.",
        "There are no focal air space opacities.",
        "There are no focal airspace consolidations.",
        "There are no pleural effusions or pneumothorax.",
        "Nothing to suggest large pleural effusion.",
        "There is no evidence of displaced rib fractures.",
        "Endplate spurs.",
        "There are no septal lines.",
    )
    assert len(examples) == len(MISREADINGS)
    for text, (finding, _) in zip(examples, MISREADINGS, strict=True):
        i = FINDINGS.index(finding)
        assert label(text)[i] != 1, text
        assert label(text, as_chexpert=True)[i] == 1, text
    others = {name for name in FINDINGS if name not in dict(MISREADINGS)}
    for text in examples:
        plain, alike = label(text), label(text, as_chexpert=True)
        for i in (FINDINGS.index(name) for name in others - {"No Finding"}):
            assert plain[i] == alike[i] or math.isnan(plain[i] + alike[i])
