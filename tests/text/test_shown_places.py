"""Words of place as a person reads them."""

from __future__ import annotations

import pytest

from ammrg.text.shown_places import shown_place


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ((), ""),
        (("left",), "left"),
        (("left", "upper"), "left upper"),
        (("lower", "right"), "right lower"),
        (("left", "right", "lower"), "bilateral lower"),
        (("left", "right", "upper", "mid", "lower"), "bilateral upper, mid and lower"),
        (("mid", "lower"), "mid and lower"),
        (("elsewhere", None), ""),
    ],
)
def test_places_are_read_as_people_write_them(words: tuple[object, ...], shown: str) -> None:
    assert shown_place(words) == shown
