"""Stored values converted to display values, as a viewer does (PS3.3 C.11.1, C.11.2).

The modality's rescaling comes first, then the window or table of the values of interest (VOI).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ammrg.imaging.attributes import items, named, number, numbers, text, value_of, with_tag
from ammrg.imaging.lookup_table import LookupTable, read_table

Values = NDArray[np.float64]


def displayed(
    levels: NDArray[np.int64], tags: Any, used: NDArray[np.bool_], *, stored: tuple[int, int], bits: int
) -> Values:
    """Convert levels to display values by the file's first VOI lookup table, or else its first window.

    Without either, 8-bit levels stay as they are, and deeper ones are scaled from the range that the film uses.
    Empty attributes count as absent.

    Args:
        levels: int64 ``[n]``, stored values.
        tags: a pydicom ``Dataset``.
        used: bool ``[n]``, True for the levels that occur in the film; at least one.
        stored: the smallest and the largest value that can be stored.
        bits: of a value.

    Returns:
        float64 ``[n]`` in [0, 1].

    Raises:
        ValueError: an attribute is invalid (named with its tag), or the whole film has one grey.
    """
    values, reach = modality(levels.astype(np.float64), tags, used, stored)
    table = first_table(tags, "VOILUTSequence", reach)
    if table is not None:
        shown, by = (table.look_up(values, used) / table.top).clip(0, 1), with_tag("VOILUTSequence")
    elif (window := first_window(tags)) is not None:
        function = text(value_of(tags, "VOILUTFunction")).upper()
        shown = windowed(values, *window, function)
        by = f"{with_tag('WindowCenter')} {window[0]:g}, WindowWidth {window[1]:g}"
    elif bits <= 8 and stored[0] >= 0 and np.array_equal(values, levels):
        shown, by = (values / (2.0**bits - 1)).clip(0, 1), "the pixels' range"
    else:
        low, high = float(values[used].min()), float(values[used].max())
        shown, by = ((values - low) / max(high - low, 1e-9)).clip(0, 1), "the pixels' range"
    if np.ptp(levels[used]) == 0:
        raise ValueError(f"every pixel is {levels[used][0]}: there is nothing to see")
    if np.ptp(shown[used]) < 1 / 255:
        raise ValueError(f"{by} shows the whole film in one grey")
    return np.asarray(shown)


def modality(
    values: Values, tags: Any, used: NDArray[np.bool_], stored: tuple[int, int]
) -> tuple[Values, tuple[float, float]]:
    """Convert stored values to the modality's, by its table or by slope and intercept.

    Returns:
        The values, and the smallest and largest that could occur.

    Raises:
        ValueError: as in :func:`displayed`.
    """
    table = first_table(tags, "ModalityLUTSequence", stored)
    if table is not None:
        return table.look_up(values, used), (0, float(table.entries.max()))
    slope, intercept = number(tags, "RescaleSlope"), number(tags, "RescaleIntercept")
    slope, intercept = 1 if slope is None else slope, 0 if intercept is None else intercept
    if slope == 0:
        raise ValueError(f"{named(tags, 'RescaleSlope')}, which makes every pixel the same")
    ends = sorted(float(end * slope + intercept) for end in stored)
    return values * slope + intercept, (ends[0], ends[1])


def first_table(tags: Any, sequence: str, reach: tuple[float, float]) -> LookupTable | None:
    """Read the first table with data from a sequence; None where there is none.

    Raises:
        ValueError: as in :func:`ammrg.imaging.lookup_table.read_table`.
    """
    little_endian = tags.original_encoding[1] is not False
    tables = (
        read_table(item, sequence, lowest=reach[0], highest=reach[1], little_endian=little_endian)
        for item in items(tags, sequence)
    )
    return next((table for table in tables if table is not None), None)


def first_window(tags: Any) -> tuple[float, float] | None:
    """Read center and width of the first window that has both; None where there is none."""
    # not strict: a file may give more centers than widths
    pairs = zip(numbers(tags, "WindowCenter"), numbers(tags, "WindowWidth"), strict=False)
    return next(((center, width) for center, width in pairs if center is not None and width is not None), None)


def windowed(values: Values, center: float, width: float, function: str) -> Values:
    """Apply a window: map values to [0, 1] by the VOI function (PS3.3 C.11.2.1).

    Args:
        values: of the modality.
        center: of the window.
        width: of the window.
        function: LINEAR (also when empty), LINEAR_EXACT or SIGMOID.

    Raises:
        ValueError: another function, or a width that the function does not allow.
    """
    if function not in ("", "LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise ValueError(f"{with_tag('VOILUTFunction')} is {function}, expected LINEAR, LINEAR_EXACT or SIGMOID")
    if width < (1 if function in ("", "LINEAR") else 1e-9):
        least = "at least 1" if function in ("", "LINEAR") else "above 0"
        raise ValueError(f"{with_tag('WindowWidth')} is {width:g}, expected {least}")
    if function == "SIGMOID":
        return np.asarray(1 / (1 + np.exp((-4 * (values - center) / width).clip(-700, 700))))
    if function == "LINEAR_EXACT":
        return ((values - center) / width + 0.5).clip(0, 1)
    return ((values - (center - 0.5)) / max(width - 1, 1e-9) + 0.5).clip(0, 1)
