from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ammrg.errors import SettingsError
from ammrg.text.cleaning import clean, normalise, r2gen, r2gengpt
from ammrg.text.labeler import label


@pytest.mark.parametrize(
    ("written", "cleaned"),
    [
        ("1.5 cm nodule at T11. Follow-up.", "1.5 cm nodule at T11. Follow-up."),
        ("  The heart\n is   normal .", "The heart is normal."),
        ("1. Heart normal. 2. Lungs clear.", "Heart normal. Lungs clear."),
        ("Seen by XXXX on ___ at 8 mm..", "Seen by XXXX on ___ at 8 mm."),
        ("FINDINGS: _______ The PICC tip", "FINDINGS: The PICC tip"),
        ("Grade 2. Stable.", "Grade 2. Stable."),
        ("½ and ﬁne", "1⁄2 and fine"),
        (".5 cm nodule", ".5 cm nodule"),
        (". , .5 cm nodule", ".5 cm nodule"),
        ("1.SINGLE VIEW 2. NO CHANGE", "SINGLE VIEW. NO CHANGE"),
        ("1. Heart large 2) Lungs clear, 3.No effusion.", "Heart large. Lungs clear, No effusion."),
        ("1. Nodule of grade 2. Stable.", "Nodule of grade 2. Stable."),
        ("1. Nodule of about 2. cm", "Nodule of about 2. cm"),
        ("Seen on 2. Heart large", "Seen on 2. Heart large"),
        ("No ef\u00adfusion\u200b in\u00a0the air\u2011space", "No effusion in the air-space"),
        ("", ""),
    ],
)
def test_clean_by_hand(written: str, cleaned: str) -> None:
    assert clean(written) == cleaned


@given(st.text(alphabet="aAT1 .,_\n-XX;:2)3", max_size=40))
def test_clean_twice_is_clean_once(text: str) -> None:
    assert clean(clean(text)) == clean(text)


def test_normalise_sets_marks_apart_and_keeps_decimals() -> None:
    assert normalise("A 1.5 cm Nodule, at T11.") == "a 1.5 cm nodule , at t11 ."
    assert normalise("air-space XXXX ___ patient's") == "air-space xxxx ___ patient's"
    assert normalise(" \n") == ""


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        # The damage that makes it a view for comparison only.
        ("1.5 cm nodule at T11. Follow-up", "15 cm nodule at t1follow-up ."),
        ("Heart normal. Lungs (both) clear!", "heart normal . lungs both clear ."),
        ("1. Heart normal. 2. Lungs clear.", "heart normal . lungs clear ."),
        ("No edema.. Clear.", "no edema . clear ."),
        ("Size: 3 cm", "size 3 cm ."),
        ('He said "no/none"', "he said nonone ."),
    ],
)
def test_r2gen_by_hand(written: str, seen: str) -> None:
    assert r2gen(written, "iu_xray") == seen
    assert r2gen(written, "phantom") == seen


@pytest.mark.parametrize("dataset", ["iu_xray", "mimic_cxr"])
@pytest.mark.parametrize("read", [r2gen, r2gengpt])
def test_r2gen_of_a_text_without_a_word_is_empty(read: Callable[[str, str], str], dataset: str) -> None:
    assert [read(text, dataset) for text in ("", " ", ".", ". .", "?!", "...")] == [""] * 6


@pytest.mark.parametrize("dataset", ["iu_xray", "mimic_cxr"])
@pytest.mark.parametrize("read", [r2gen, r2gengpt])
def test_r2gen_takes_any_white_space_for_a_space(read: Callable[[str, str], str], dataset: str) -> None:
    text = "1. Heart normal. 2. Lungs clear. No effusion at T11. Size: 3 cm"
    for space in ("\n", "\t", "\u00a0", "  ", " \n \n", "\r\n"):
        assert read(text.replace(" ", space), dataset) == read(text, dataset)


def test_r2gen_mimic_also_folds_lines_and_underscores() -> None:
    assert r2gen("Seen on ____ at\n  ___ . Clear.", "mimic_cxr") == "seen on at . clear ."


def test_r2gen_refuses_an_unknown_data_set() -> None:
    with pytest.raises(SettingsError, match="padchest"):
        r2gen("Clear.", "padchest")


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("1. No effusion\n2. Edema", "No effusion. Edema"),
        ("1) No pneumothorax\n2) Left effusion", "No pneumothorax. Left effusion"),
        ("• No pneumothorax\n• Left effusion", "• No pneumothorax. • Left effusion"),
        ("(1) No pneumothorax\n(2) Left effusion", "(1) No pneumothorax. (2) Left effusion"),
        ("No effusion\n\nEdema at the bases", "No effusion. Edema at the bases"),
        ("Pleura: No effusion\nHeart: enlarged", "Pleura: No effusion. Heart: enlarged"),
        ("No effusion.\n\nEdema.", "No effusion. Edema."),
        ("No effusion is\nseen at the bases", "No effusion is seen at the bases"),
        ("A nodule of\n5 mm", "A nodule of 5 mm"),
    ],
)
def test_items_on_lines_of_their_own_are_sentences(text: str, cleaned: str) -> None:
    """Run together, the first item's denial would reach the second."""
    assert clean(text) == cleaned == clean(cleaned)
    assert label(clean(text)) == pytest.approx(label(text), nan_ok=True)
