"""The dial between sensitivity and precision: what its settings mean, and a model's thresholds at each of them.

A setting is a number in [0, 1]. At 0.5 (``balanced``) every finding has the threshold that the model was trained with.
Below it findings are called sooner, and above it later, along a curve that was measured on the validation split
(:func:`ammrg.metrics.operating_curve.operating_curve`).
"""

from __future__ import annotations

import math
import textwrap
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ammrg.errors import SettingsError
from ammrg.findings import ABNORMAL, FINDINGS

BALANCED = 0.5
NAMED: Mapping[str, float] = {"sensitive": 0.25, "balanced": BALANCED, "specific": 0.75}
"""Settings that have a name. The ends 0 and 1 have none: they are the most that validation says anything about."""
SETTINGS = tuple(round(step / 20, 2) for step in range(21))
"""Settings at which a curve is measured; thresholds between two of them are interpolated."""
HELP = (
    "how readily findings are called: sensitive, balanced (as trained), specific, or a number from 0 (most sensitive) "
    "to 1 (most specific)"
)


def operating_point(value: str | float) -> float:
    """Read a setting of the dial.

    Args:
        value: a key of :data:`NAMED`, or a number in [0, 1] or its text.

    Raises:
        SettingsError: it is neither.
    """
    if isinstance(value, str) and value in NAMED:
        return NAMED[value]
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 1:
        found = textwrap.shorten(repr(value), 60)
        raise SettingsError(
            f"operating point: found {found}, must be {', '.join(NAMED)}, or a number from 0 (most sensitive) to 1 "
            "(most specific)"
        )
    return number


def name_of(setting: float) -> str | None:
    """Return the name of a setting; None where it has none."""
    return next((name for name, value in NAMED.items() if value == setting), None)


def in_words(setting: float) -> str:
    """Return ``0.25 (sensitive)``, or the number alone where it has no name."""
    name = name_of(setting)
    return f"{setting:g}" if name is None else f"{setting:g} ({name})"


class FindingCurve(NamedTuple):
    """One finding at each of :data:`SETTINGS`."""

    found: list[float]
    """Thresholds above which it is shown as found, in [0, 1] or inf; they never fall. For "No Finding", never rise."""
    named: list[float]
    """The same for being named to the language model."""
    positives: int
    """Positive studies of the validation split."""
    recall: list[float] | None
    """With the thresholds ``found``, on the validation split, in [0, 1]; None where there are too few positives."""
    precision: list[float] | None
    """The same; 1 where it is called in no study."""


class OperatingCurve(NamedTuple):
    """A model's thresholds at each setting of the dial, and what they gave on the validation split."""

    studies: int
    """Number of validation studies."""
    calls: list[float]
    """Abnormal findings shown as found in a study, on average, at each of :data:`SETTINGS`."""
    recall: list[float] | None
    """Of all abnormal findings counted together, with the thresholds ``found``, on the validation split, in [0, 1].

    None where there are too few positives, or in a curve of a release before it was counted so.
    """
    precision: list[float] | None
    """The same; 1 where nothing is called."""
    findings: dict[str, FindingCurve]
    """All 14."""

    def thresholds(self, setting: float) -> tuple[list[float], list[float]]:
        """Return the 14 thresholds above which findings are shown as found, and those above which they are named.

        Args:
            setting: in [0, 1].
        """
        curves = [self.findings[name] for name in FINDINGS]
        return [_between(each.found, setting) for each in curves], [_between(each.named, setting) for each in curves]

    @property
    def measured(self) -> list[str]:
        """The abnormal findings with enough positives for a recall and a precision."""
        return [FINDINGS[i] for i in ABNORMAL if self.findings[FINDINGS[i]].recall is not None]

    def together(self, setting: float) -> tuple[float, float] | None:
        """Return recall and precision of all abnormal findings counted together; None where they are not known."""
        if self.recall is None or self.precision is None:
            return None
        return _between(self.recall, setting), _between(self.precision, setting)

    def sentence(self, setting: float) -> str:
        """Say which setting was used, and what it gave on the validation split beside the balanced one."""
        said = f"Read at operating point {in_words(setting)}, not as trained"
        here, balanced = self.together(setting), self.together(BALANCED)
        if here is None or balanced is None:
            return f"{said}; what that gave on validation is not known."
        return (
            f"{said}: on validation, stage 1 has recall {here[0]:.2f} and precision {here[1]:.2f} (balanced: "
            f"{balanced[0]:.2f} and {balanced[1]:.2f}), all abnormal findings counted together."
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values; an infinite threshold is null."""
        return {
            "settings": list(SETTINGS),
            "studies": self.studies,
            "calls": self.calls,
            "recall": self.recall,
            "precision": self.precision,
            "findings": {
                name: {
                    **curve._asdict(),
                    "found": [value if math.isfinite(value) else None for value in curve.found],
                    "named": [value if math.isfinite(value) else None for value in curve.named],
                }
                for name, curve in self.findings.items()
            },
        }

    @classmethod
    def from_json(cls, value: Any) -> OperatingCurve:
        """Read what :meth:`as_json` returned.

        Raises:
            ValueError: it is something else.
        """
        try:
            if value["settings"] != list(SETTINGS):
                raise ValueError(f"has the settings {value['settings']}, but this release reads {list(SETTINGS)}")
            findings = {name: _finding(value["findings"][name]) for name in FINDINGS}
            calls = [float(each) for each in value["calls"]]
            recall, precision = (_shares(value.get(name)) for name in ("recall", "precision"))
            return cls(int(value["studies"]), calls, recall, precision, findings)
        except (KeyError, TypeError) as error:
            raise ValueError(f"is damaged: {type(error).__name__} {error}") from error


def _finding(value: Any) -> FindingCurve:
    limits = [[math.inf if each is None else float(each) for each in value[name]] for name in ("found", "named")]
    shares = [_shares(value[name]) for name in ("recall", "precision")]
    if any(len(each) != len(SETTINGS) for each in (*limits, *shares) if each is not None):
        raise ValueError(f"must have {len(SETTINGS)} values for each finding")
    return FindingCurve(limits[0], limits[1], int(value["positives"]), shares[0], shares[1])


def _shares(values: Any) -> list[float] | None:
    return None if values is None else list(map(float, values))


def _between(values: Sequence[float], setting: float) -> float:
    """Interpolate between the two nearest of :data:`SETTINGS`; exactly a value at each of them."""
    after = bisect_right(SETTINGS, setting)
    if after == len(SETTINGS) or SETTINGS[after - 1] == setting:
        return values[after - 1]
    low, high = values[after - 1], values[after]
    if low == high:
        return low  # also where both are infinite
    share = (setting - SETTINGS[after - 1]) / (SETTINGS[after] - SETTINGS[after - 1])
    return low + share * (high - low)
