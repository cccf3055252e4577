from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from ammrg.findings import FINDINGS, NO_FINDING, is_unlabelled
from ammrg.text.findings_phrases import OTHER, TABLE
from ammrg.text.labeler import LONGEST, explain, label, sentences, suspected_findings

RAW = Path(os.environ.get("AMMRG_IU_XRAY", Path(__file__).parents[2].parent / "shared/data/iu_xray"))


def of(text: str, finding: str) -> float | None:
    """The label of one finding; None where blank."""
    value = label(text)[FINDINGS.index(finding)]
    return None if math.isnan(value) else value


def test_a_text_without_marks_is_cut_between_words_and_loses_none() -> None:
    text = " ".join(["the heart is not enlarged"] * 2000)
    cut = sentences(f"{text}\nno effusion. Clear.")
    assert max(map(len, cut)) <= LONGEST
    assert " ".join(cut) == f"{text} no effusion. Clear."
    assert cut[-1] == "Clear."
    assert of(f"{text} no effusion", "Pleural Effusion") == 0


def test_a_cut_parts_no_word_with_a_hyphen() -> None:
    text = " ".join(["left-sided"] * 1000)
    assert " ".join(sentences(text)) == text


def test_the_table_covers_the_thirteen_findings_and_the_other() -> None:
    assert [row.finding for row in TABLE] == [*FINDINGS[:NO_FINDING], OTHER]


@pytest.mark.parametrize(
    ("text", "finding", "expected"),
    [
        # plain
        ("There is a small left pleural effusion.", "Pleural Effusion", 1),
        ("The lungs are clear.", "Lung Opacity", None),
        ("Fractured left clavicle.", "Fracture", 1),
        # negation: lists, both sides, and where its reach ends
        ("No consolidation, effusion, or pneumothorax.", "Pneumothorax", 0),
        ("No consolidation, effusion, or pneumothorax.", "Consolidation", 0),
        ("Neither effusion nor pneumothorax.", "Pneumothorax", 0),
        ("Negative for pneumonia.", "Pneumonia", 0),
        ("Pneumothorax is not seen.", "Pneumothorax", 0),
        ("The edema has resolved.", "Edema", 0),
        ("No effusion but there is atelectasis.", "Atelectasis", 1),
        ("No effusion, however a nodule is seen.", "Lung Lesion", 1),
        ("Cardiomegaly without edema.", "Cardiomegaly", 1),
        ("Cardiomegaly without edema.", "Edema", 0),
        ("No pneumothorax is seen and there is a fracture.", "Fracture", 1),
        ("No acute fracture, old rib fracture noted.", "Fracture", 1),
        ("Interval removal of the right PICC line.", "Support Devices", 0),
        ("The PICC line has been removed.", "Support Devices", 0),
        # the word before "port" belongs to the sentence, not to its name
        ("Possible port catheter.", "Support Devices", -1),
        ("A possible left chest port is seen.", "Support Devices", -1),
        ("No port catheter.", "Support Devices", 0),
        ("Right chest port in place.", "Support Devices", 1),
        ("A left infusaport and a chemoport.", "Support Devices", 1),
        ("Possible portable film.", "Support Devices", None),
        # what only looks like a negation
        ("No change in the left pleural effusion.", "Pleural Effusion", 1),
        ("No significant interval change in atelectasis.", "Atelectasis", 1),
        ("Not only edema is present.", "Edema", 1),
        # uncertainty, before and after; denial is stronger
        ("Possible pneumonia.", "Pneumonia", -1),
        ("Pneumonia cannot be excluded.", "Pneumonia", -1),
        ("Opacity which may represent consolidation.", "Consolidation", -1),
        ("Opacity which may represent consolidation.", "Lung Opacity", 1),
        ("Atelectasis or scarring at the base.", "Atelectasis", -1),
        ("No effusion or pneumothorax.", "Pleural Effusion", 0),
        ("No focal opacity to suggest pneumonia.", "Pneumonia", 0),
        # circumstances, asides and lists
        ("No relevant change in the moderate cardiomegaly, mild edema, or left nodule.", "Edema", 1),
        ("No pneumothorax, endotracheal tube and enteric tube are unchanged.", "Support Devices", 1),
        ("Removal of the PICC and placement of a jugular catheter.", "Support Devices", 1),
        ("The PICC has been removed and replaced by a jugular catheter.", "Support Devices", 1),
        ("The right effusion, which was seen before, has resolved.", "Pleural Effusion", 0),
        ("An effusion seen from the side, not found from the front.", "Pleural Effusion", 1),
        ("No consolidation is seen to suggest pneumonia.", "Pneumonia", 0),
        ("Pneumothorax is not seen, nor is an effusion.", "Pleural Effusion", 0),
        ("Effusion and consolidation are both absent.", "Consolidation", 0),
        ("Pneumothorax, effusion: none.", "Pneumothorax", 0),
        ("Effusion, edema and consolidation: none.", "Pleural Effusion", 0),
        ("Edema, consolidation: possible.", "Edema", -1),
        ("No effusion: the angles are sharp.", "Pleural Effusion", 0),
        ("There is edema: no effusion.", "Edema", 1),
        ("Consolidation in the right lower lobe behind the heart is not seen.", "Consolidation", 0),
        (
            "Edema, large right or left effusion, focal consolidation, or acute displaced rib fracture is not seen.",
            "Edema",
            0,
        ),
        ("Edema is now absent.", "Edema", 0),
        ("An effusion is nearly absent.", "Pleural Effusion", 1),
        ("Absent pneumothorax or effusion.", "Pleural Effusion", 0),
        ("The lungs are free from edema or consolidation.", "Edema", 0),
        ("I doubt there is an effusion.", "Pleural Effusion", -1),
        ("It is doubtful that there is an effusion.", "Pleural Effusion", -1),
        ("Pneumonia is not favored.", "Pneumonia", -1),
        ("Low likelihood of pneumonia.", "Pneumonia", -1),
        ("Pneumothorax: False", "Pneumothorax", 0),
        ("Edema [-].", "Edema", 0),
        ("The right chest port is unchanged.", "Support Devices", 1),
        ("Nothing suggests effusion.", "Pleural Effusion", 0),
        ("Neither lung shows edema.", "Edema", 0),
        ("No post-operative pneumothorax.", "Pneumothorax", 0),
        ("Pneumothorax has not recurred.", "Pneumothorax", 0),
        ("Opacity is likely atelectasis.", "Lung Opacity", 1),
        ("No increased interstitial markings.", "Lung Opacity", 0),
        ("No effusion seen (atelectasis may be present).", "Pleural Effusion", 0),
        # organs: what is said of them counts
        ("Stable mediastinum with a normal heart.", "Enlarged Cardiomediastinum", -1),
        ("The heart is normal in size.", "Cardiomegaly", 0),
        ("The heart is not enlarged.", "Cardiomegaly", 0),
        ("Heart size and mediastinum are normal.", "Enlarged Cardiomediastinum", 0),
        ("Mildly enlarged cardiac silhouette.", "Cardiomegaly", 1),
        ("Stable heart size.", "Cardiomegaly", -1),
        ("The heart is stable and enlarged.", "Cardiomegaly", 1),
        ("The heart is unchanged, normal in size.", "Cardiomegaly", 0),
        ("Heart size moderately enlarged, stable mediastinal contours.", "Cardiomegaly", 1),
        ("Heart size moderately enlarged, stable mediastinal contours.", "Enlarged Cardiomediastinum", -1),
        ("No mediastinal widening.", "Enlarged Cardiomediastinum", 0),
        # words inside wider words or phrases
        ("Endplate spurs. Portable film.", "Support Devices", None),
        ("Calcified nodule.", "Lung Lesion", None),
        ("Pericardial effusion.", "Pleural Effusion", None),
        ("Vascular congestion.", "Edema", -1),
        # several mentions: present over uncertain over absent
        ("No edema. Possible edema.", "Edema", -1),
        ("Possible edema at the left. Edema at the right. No edema elsewhere.", "Edema", 1),
        # a colon ends a denial where a clause of its own follows, and opens a list of what is denied
        ("There is no pneumothorax: a small effusion is present.", "Pleural Effusion", 1),
        ("No pneumothorax: small left effusion.", "Pleural Effusion", 1),
        ("No evidence of any of these: pneumothorax, pleural effusion.", "Pleural Effusion", 0),
        ("No evidence of the following: pneumothorax, pleural effusion.", "Pneumothorax", 0),
        ("No pneumothorax following removal of the chest tube.", "Pneumothorax", 0),
        # case, hyphens, decimals
        ("PNEUMOTHORAX.", "Pneumothorax", 1),
        ("Air-space disease.", "Lung Opacity", 1),
        ("No nodule over 1.5 cm. Effusion at T11.", "Pleural Effusion", 1),
    ],
)
def test_by_hand(text: str, finding: str, expected: float | None) -> None:
    assert of(text, finding) == expected


def test_a_form_without_a_value_says_nothing_of_its_finding() -> None:
    assert of("Pneumothorax: N/A. Effusion: not assessed.", "Pneumothorax") is None
    assert explain("Pneumothorax:\nEffusion: none")[0][:2] == ("Pleural Effusion", 0.0)


@pytest.mark.parametrize("value", ["no effusion", "there is no effusion", "the effusion has resolved"])
def test_a_form_whose_value_names_its_finding_says_it_once(value: str) -> None:
    assert [mention.label for mention in explain(f"Effusion: {value}.")] == [0]


def test_a_form_is_read_on_one_line_and_on_many() -> None:
    form = ("Pneumothorax: none", "Effusion: small, right", "Edema: possible", "Consolidation: No focal consolidation")
    for joint in ("\n", " ", ", ", "; ", ". "):
        said = [of(joint.join(form), name) for name in ("Pneumothorax", "Pleural Effusion", "Edema", "Consolidation")]
        assert said == [0, 1, -1, 0], joint


@pytest.mark.parametrize("text", ["", "  \n ", "nan", "---"])
def test_an_empty_text_is_unlabelled(text: str) -> None:
    assert is_unlabelled(label(text))
    assert explain(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The lungs are clear.", 1),
        ("No effusion.", 1),
        ("A pacemaker is in place.", 1),
        ("Small effusion.", None),
        ("Possible effusion.", None),
        ("Lungs clear. Degenerative changes of the spine.", None),
        ("Lungs clear. No degenerative changes.", 1),
    ],
)
def test_no_finding(text: str, expected: float | None) -> None:
    assert of(text, "No Finding") == expected


def test_explain_names_phrase_and_sentence() -> None:
    mentions = explain("Lungs are clear. No left-sided Pleural Effusion.")
    assert [(m.finding, m.label, m.phrase, m.sentence) for m in mentions] == [
        ("Pleural Effusion", 0.0, "Pleural Effusion", "No left-sided Pleural Effusion.")
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Possible small effusion. No edema.", {"Pleural Effusion"}),
        ("Possible effusion. Small left effusion.", set()),  # affirmed as well
        ("Possible effusion. No effusion.", {"Pleural Effusion"}),
        ("Stable heart size.", set()),
        ("", set()),
    ],
)
def test_suspected_findings_are_called_possible_and_nowhere_affirmed(text: str, expected: set[str]) -> None:
    assert suspected_findings(text) == expected


def test_explain_and_label_agree() -> None:
    text = "Cardiomegaly. Possible edema. No effusion. Old granuloma. A port is in place."
    said = {mention.finding: mention.label for mention in explain(text)}
    labels = dict(zip(FINDINGS, label(text), strict=True))
    assert said == {name: value for name, value in labels.items() if not math.isnan(value)}


def test_the_misreadings_of_chexpert_are_put_on_only_when_asked() -> None:
    text = "No displaced rib fractures."
    assert of(text, "Fracture") == 0
    assert label(text, as_chexpert=True)[FINDINGS.index("Fracture")] == 1


def test_sentences_keep_decimals_and_levels_whole() -> None:
    assert sentences("A 1.5 cm nodule at T11. Clear\notherwise.Heart normal!") == [
        "A 1.5 cm nodule at T11.",
        "Clear otherwise.",
        "Heart normal!",
    ]


@pytest.mark.parametrize(
    "text",
    [
        *("no " * 3000, "or " * 3000, "a" * 20000, "heart " * 2000, "ñ – ☃ XXXX ___ 12.5"),
        *("effusion and " * 200 + ": no", "effusion, " * 200 + "=", "1. Edema " + "2. Edema " * 500),
    ],
)
def test_odd_texts_end_soon(text: str) -> None:
    assert len(label(text)) == len(FINDINGS)


def test_agrees_with_the_phantoms_own_labels() -> None:
    plan = pytest.importorskip("datamodules.sources.phantom.plan")
    phantom = pytest.importorskip("datamodules.sources.phantom.sentences")
    wrong = []
    for index in range(300):
        report = phantom.write_report(plan.plan_study("val", index, 3))
        for name, ours, theirs in zip(FINDINGS, label(report.findings), report.labels, strict=True):
            if ours != theirs and not (math.isnan(ours) and math.isnan(theirs)):
                wrong.append((name, ours, theirs, report.findings))
    assert not wrong, wrong[:3]


@pytest.mark.skipif(not (RAW / "chexpert_labels.csv").is_file(), reason="the IU X-Ray data are not here")
def test_agreement_with_the_chexpert_labeler_on_held_out_studies() -> None:
    import numpy as np

    from benchmarks.labeler import agreement, read

    studies = [study for study in read(RAW) if study.part != "train"]
    reference = np.array([study.labels for study in studies])
    plain = agreement(reference, np.array([label(study.text) for study in studies]), 1.0)
    alike = agreement(reference, np.array([label(study.text, as_chexpert=True) for study in studies]), 1.0)
    assert len(studies) > 900
    assert plain["micro 14"][2] > 0.85
    assert alike["micro 14"][2] > 0.93
    assert alike["micro 13"][2] > 0.91
    assert not {name: row for name, row in alike.items() if row[3] >= 20 and row[2] < 0.80}


def test_a_report_is_no_port() -> None:
    assert label("The report is normal.")[FINDINGS.index("Support Devices")] != 1
