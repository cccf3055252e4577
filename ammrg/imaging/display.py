"""Stored values to what a viewer shows (PS3.3 C.11.1, C.11.2): modality first, then the values of interest."""

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
    """Levels to display values: the first lookup table or window of the file; without either, 8-bit levels as they
    are, deeper ones by the range of those that the film uses. Attributes that are empty count as absent.

    Args:
        levels: int64 ``[n]``, values that are stored.
        tags: a pydicom ``Dataset``.
        used: bool ``[n]``, which of them the film has; at least one.
        stored: the least and the greatest value that can be stored.
        bits: of a value.

    Returns:
        float64 ``[n]`` in [0, 1].

    Raises:
        ValueError: an attribute makes no sense (named with its tag), or shows the whole film in one grey.
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
    """Stored values to those of the modality, by table or slope and intercept; with what they can reach at all.

    Raises:
        ValueError: as :func:`displayed`.
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
    """The first table of a sequence that has data.

    Raises:
        ValueError: as :func:`ammrg.imaging.lookup_table.read_table`.
    """
    little_endian = tags.original_encoding[1] is not False
    tables = (
        read_table(item, sequence, lowest=reach[0], highest=reach[1], little_endian=little_endian)
        for item in items(tags, sequence)
    )
    return next((table for table in tables if table is not None), None)


def first_window(tags: Any) -> tuple[float, float] | None:
    """Center and width of the first window that has both."""
    pairs = zip(numbers(tags, "WindowCenter"), numbers(tags, "WindowWidth"), strict=False)
    return next(((center, width) for center, width in pairs if center is not None and width is not None), None)


def windowed(values: Values, center: float, width: float, function: str) -> Values:
    """A window of the VOI functions LINEAR (the default), LINEAR_EXACT and SIGMOID (PS3.3 C.11.2.1), to [0, 1].

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
