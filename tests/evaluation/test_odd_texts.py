"""Copied references, tags, unknown words and unread languages, each told by an alarm with its number."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from ammrg import evaluate
from ammrg.evaluation.predictions import Line, System
from ammrg.evaluation.scoring import score_systems

with (Path(__file__).parent / "submissions" / "references.csv").open() as _file:
    REFERENCES = [row["report"] for row in csv.DictReader(_file)]
OTHERS = [*REFERENCES[1:], REFERENCES[0]]
GENERATED = [text.replace("The", "A", 1) for text in OTHERS]
NORMAL = (
    "The heart is normal in size and the mediastinum is unremarkable. The lungs are clear. No pleural effusion is seen."
)


def alarms(generated: list[str], references: list[str] = REFERENCES, **more: Any) -> list[str]:
    found = evaluate(generated, references=references, resamples=0, with_meteor=False, **more)["alarms"]
    return [text for text in found if isinstance(text, str)]


def about(words: str, said: list[str]) -> str:
    return next((text for text in said if text.startswith(words)), "")


def copied(count: int) -> list[str]:
    return [*REFERENCES[:count], *OTHERS[count:]]


@pytest.mark.parametrize("count", [6, 24])
def test_some_copied_references_are_told(count: int) -> None:
    said = about("REFERENCES ARE COPIED", alarms(copied(count)))
    assert f"{count} of 40 reports are the reference of their study, {count} word for word, 0 nearly" in said


@pytest.mark.parametrize("change", [("The", "Findings: The"), ("lungs", "lung"), (".", " .\n"), ("is ", "was ")])
def test_copies_with_a_word_changed_are_told_too(change: tuple[str, str]) -> None:
    said = about("REFERENCES ARE COPIED", alarms([text.replace(*change, 1) for text in copied(24)]))
    assert "24 of 40 reports are the reference of their study" in said


def test_a_few_copies_are_not() -> None:
    assert not about("REFERENCES", alarms(copied(3)))


def test_equal_texts_that_chance_explains_are_not_copies() -> None:
    """A normal report that several patients have, and short ones."""
    assert not about("REFERENCES", alarms([NORMAL] * 20 + OTHERS[20:], [NORMAL] * 20 + REFERENCES[20:]))
    short = [f"Nodule of {number} mm in the lung." for number in range(40)]
    assert not about("REFERENCES", alarms(short, short))
    of_one = about(
        "REFERENCES", alarms([NORMAL] * 20 + OTHERS[20:], [NORMAL] * 20 + REFERENCES[20:], patients=["p"] * 40)
    )
    assert "20 of 40" in of_one


def test_copies_that_a_baseline_has_too_are_free() -> None:
    def system(group: str, name: str, texts: list[str]) -> System:
        lines = [
            Line(f"{i:02}", f"{i}", text, said) for i, (text, said) in enumerate(zip(REFERENCES, texts, strict=True))
        ]
        return System(group, name, Path("reports"), lines)

    def said(of_baseline: int) -> str:
        systems = [system("", "ours", copied(10)), system("baselines", "nearest_image", copied(of_baseline))]
        return about("REFERENCES", score_systems(systems, protocols=["full"], resamples=0, with_meteor=False)["alarms"])

    assert "of nearest image, 6)" in said(6)
    assert not said(7)


def test_tags_are_told_with_one_of_them() -> None:
    marked = [f"<p class='x'>{text}</p>" for text in OTHERS[:2]] + ["Effusion&nbsp;seen.", *OTHERS[3:]]
    said = about("TAGS", alarms(marked))
    assert "3 of 40 reports have tags such as <p class='x'> (of the references, 0)" in said
    assert not about("TAGS", alarms([*OTHERS[:-1], "A nodule < 3 mm, not > 5 mm; heart & lungs."]))
    masked = [f"<unk> {text}" for text in REFERENCES]
    assert not about("TAGS", alarms(marked, masked))


def test_a_report_without_a_known_word_is_told() -> None:
    said = about("NO KNOWN WORD", alarms(["TheTheThe", "lorem ipsum", "", *OTHERS[3:]]))
    assert said.startswith("NO KNOWN WORD: 2 of 40 reports share no word with any reference")
    assert not about("NO KNOWN WORD", alarms(OTHERS))


def test_references_given_as_training_reports_are_told() -> None:
    said = about("TRAINING", alarms(GENERATED, train_texts=[*REFERENCES, REFERENCES[0], "", "None"]))
    assert said.startswith("TRAINING REPORTS ARE REFERENCES: 40 of 40 different training reports are references")
    others = [f"{NORMAL} Nodule of {number} mm in the left lung." for number in range(91)]
    assert "10 of 100 different" in about("TRAINING", alarms(GENERATED, train_texts=[*REFERENCES[:10], *others[:90]]))
    few = evaluate(GENERATED, references=REFERENCES, train_texts=[*REFERENCES[:10], *others], resamples=0)
    assert not about("TRAINING", few["alarms"])
    assert about("10 of 101 different training reports are references of the scored studies, word", few["sentences"])
    assert not about("TRAINING", alarms(GENERATED, train_texts=REFERENCES[:9]))
    assert not about("TRAINING", alarms(GENERATED))


def test_training_reports_given_as_reports_are_told() -> None:
    train = [f"{text} Seen before." for text in REFERENCES]
    assert about("TRAINING REPORTS AS REPORTS: 36 of 40", alarms([*train[:36], *GENERATED[36:]], train_texts=train))
    found = evaluate([*train[:35], *GENERATED[35:]], references=REFERENCES, train_texts=train, resamples=0)
    assert not about("TRAINING", found["alarms"])
    assert about("35 of 40 reports are, word for word, training reports.", found["sentences"])


def test_references_in_another_language_are_told() -> None:
    spanish = [f"Silueta cardiaca de tamaño normal. Sin derrame pleural. Caso {number}." for number in range(12)]
    said = alarms(spanish, spanish)
    assert about("NOT IN ENGLISH: 12 of 12 references and 12 of 12 reports have none of the commonest words", said)
    assert not about("NOT IN ENGLISH", alarms(spanish[:9], spanish[:9]))
    assert not about("NOT IN ENGLISH", alarms(OTHERS))


def test_reports_in_another_language_are_told() -> None:
    german = [f"Normal großes Herz, kein Pleuraerguss. Fall {number}." for number in range(20)]
    told = alarms(["Kein Erguss.", *german[1:], *OTHERS[20:]])
    assert not about("NO KNOWN WORD", told)  # it follows
    said = about("NOT IN ENGLISH", told)
    assert said.startswith("NOT IN ENGLISH: 20 of 40 reports have none of the commonest words")
    assert not about("NOT IN ENGLISH", alarms([*german[:19], *OTHERS[19:]]))
    assert not about("NOT IN ENGLISH", alarms(["No pleural effusion seen."] * 40))
    assert not about("NOT IN ENGLISH", alarms(["No focal opacity."] * 40))
    assert not about("NOT IN ENGLISH", alarms([""] * 40))
