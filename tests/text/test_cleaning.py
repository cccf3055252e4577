from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ammrg.errors import SettingsError
from ammrg.text.cleaning import clean, normalise, r2gen


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
        ("", ""),
    ],
)
def test_clean_by_hand(written: str, cleaned: str) -> None:
    assert clean(written) == cleaned


@given(st.text(alphabet="aT1 .,_\n-XX;:2)", max_size=40))
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


def test_r2gen_mimic_also_folds_lines_and_underscores() -> None:
    assert r2gen("Seen on ____ at\n  ___ . Clear.", "mimic_cxr") == "seen on at . clear ."


def test_r2gen_refuses_an_unknown_data_set() -> None:
    with pytest.raises(SettingsError, match="padchest"):
        r2gen("Clear.", "padchest")
