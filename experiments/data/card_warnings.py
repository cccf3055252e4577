"""What whoever prepared a data set should mend, from its card: the gravest last, where it is seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datamodules.prepared import to_fill
from datamodules.sources.source_reading import SPLITS

FEWEST = 10
"""Studies below which one patient or one report for all is no surprise."""
SAME = 0.9
"""The share of studies with one and the same report from which it is told."""


def warnings_of(card: Mapping[str, Any]) -> list[str]:
    """Return the warnings, a sentence or two each; empty if all is well.

    Args:
        card: the content of a ``card.json``.
    """
    notes, counts = card["notes"], card["counts"]
    studies = sum(count["studies"] for count in counts.values())
    found = []
    unnamed = sum(count["unknown"] for count in counts.values()) if card["dataset"] == "csv" else 0
    if (views := notes.get("views_not_known", "none")) != "none":
        found.append(
            f"view has words that are not known, and these films are read as frontal ones: {views}. Write frontal or "
            "lateral (or PA, AP, LL) in the table."
        )
    elif unnamed:
        found.append(
            f"{unnamed:,} of {sum(count['views'] for count in counts.values()):,} films have no view and are read as "
            "frontal ones. If lateral films are among them, write frontal or lateral in a column view."
        )
    if (rows := notes.get("rows_with_tags", "none")) != "none":
        found.append(f"Reports with tags such as <br>, which a model would learn to write: {rows}. Write plain text.")
    if (rows := notes.get("rows_with_misread_letters", "none")) != "none":
        found.append(
            f"Reports with letters that were read in a wrong encoding (Ã¼ in place of ü): {rows}. Save the table as "
            "CSV UTF-8 from the program that shows them right."
        )
    if (rows := notes.get("rows_with_other_sections", "none")) != "none":
        found.append(
            f"Reports with titles of sections (IMPRESSION:), which a model would learn to write: {rows}. Keep the text "
            "of one section."
        )
    if studies >= FEWEST and notes.get("studies_with_the_commonest_report", 0) >= SAME * studies:
        found.append(
            f"{notes['studies_with_the_commonest_report']:,} of {studies:,} studies have one and the same report, so "
            "there is little to learn; see that column report has each study's own."
        )
    foreign = sum(int(text["without_english_words"]) for text in card["text"].values())
    if 2 * foreign > studies:
        found.append(
            f"{foreign:,} of {studies:,} reports have none of the commonest English words: findings are labelled, and "
            "reports scored, by rules for English, so neither holds for them. Translate the reports first."
        )
    if (alike := notes.get("patients_alike", "none")) != "none":
        found.append(
            f"Patients of two splits whose ids differ by capitals, spaces or zeros alone: {alike}. If they are one "
            "patient, write one id, or its films leak into training."
        )
    if studies >= FEWEST and sum(count["subjects"] for count in counts.values()) == 1:
        found.append(
            f"All {studies:,} studies are of one patient, so no split can keep patients apart; write each patient's "
            "own id in patient_id."
        )
    if empty := [split for split in SPLITS if split not in counts]:
        found.append(
            f"no study in {' and '.join(empty)}: training needs train and val, scores need test. {to_fill(empty)}"
        )
    return found
