"""The kinds of reasons that a log may tell."""

from __future__ import annotations

import pytest

from ammrg.studies.reasons import kind_of


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("cannot be decoded: every pixel is 0: there is nothing to see", "no_film"),
        ("99% of its pixels or more are of one grey: a picture without contrast, no film", "no_film"),
        ("cannot be decoded: image file is truncated", "damaged"),
        ("something new", "other"),
    ],
)
def test_a_picture_of_nothing_is_no_damaged_film(reason: str, kind: str) -> None:
    assert kind_of(reason) == kind
