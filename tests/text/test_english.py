"""Whether texts are English."""

from __future__ import annotations

from ammrg.text.english import count_not_english


def test_reports_in_other_languages_are_counted() -> None:
    others = [
        "Herz normal groß. Kein Pleuraerguss. Keine Infiltrate.",
        "Le cœur est de taille normale. Pas d'épanchement pleural.",
        "Silueta cardíaca de tamaño normal. No hay derrame pleural.",
        "Hart van normale grootte. Er is geen pleuravocht; was eerder wel aanwezig.",
        "",
    ]
    english = [
        "The heart is normal.",
        "Heart size and mediastinum normal.",
        "THERE IS no effusion.",
        "Lungs are clear.",
    ]
    assert count_not_english([*others, *english]) == len(others)
    assert count_not_english(["Cardiomegaly."]) == 1  # a short text may have none
