"""Settings of the dial: what is taken for one, and a curve read between its settings."""

from __future__ import annotations

import json
import math

import pytest

from ammrg.commands.describe import main
from ammrg.errors import SettingsError
from ammrg.findings import FINDINGS
from ammrg.operating_points import SETTINGS, FindingCurve, OperatingCurve, in_words, operating_point


def a_curve() -> OperatingCurve:
    rising = [x / 2 for x in SETTINGS]
    measured = FindingCurve(rising, [math.inf] * len(SETTINGS), 12, [1 - x for x in SETTINGS], list(SETTINGS))
    few = FindingCurve(rising, rising, 3, None, None)
    findings = {name: few if name == "Edema" else measured for name in FINDINGS}
    return OperatingCurve(40, [13 - x for x in SETTINGS], [1 - x for x in SETTINGS], list(SETTINGS), findings)


@pytest.mark.parametrize(
    ("given", "setting"), [("sensitive", 0.25), ("balanced", 0.5), ("specific", 0.75), ("0", 0.0), (1, 1.0), (0.3, 0.3)]
)
def test_a_setting_is_a_word_or_a_number(given: str | float, setting: float) -> None:
    assert operating_point(given) == setting


@pytest.mark.parametrize("given", ["Sensitive", "", "1.01", -0.1, math.nan, "nan", True, None, "0,5", math.inf])
def test_anything_else_is_refused_in_one_sentence(given: object) -> None:
    with pytest.raises(SettingsError) as refused:
        operating_point(given)  # type: ignore[arg-type]
    assert str(refused.value) == (
        f"operating point: found {given!r}, must be sensitive, balanced, specific, or a number from 0 (most sensitive) "
        "to 1 (most specific)"
    )


def test_the_command_refuses_a_wrong_setting_before_anything_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["film.png", "--model", "none", "--operating-point", "1.5"])
    assert stopped.value.code == 2
    told = capsys.readouterr().err
    assert "--operating-point" in told
    assert "found '1.5', must be sensitive, balanced, specific, or a number from 0" in told


def test_thresholds_lie_between_those_of_the_nearest_settings() -> None:
    curve = a_curve()
    for setting in (*SETTINGS, 0.26, 0.333, 0.999):
        found, named = curve.thresholds(setting)
        assert found == pytest.approx([setting / 2] * 14)
        assert named[0] == math.inf
        assert named[FINDINGS.index("Edema")] == pytest.approx(setting / 2)
    assert curve.thresholds(0.25)[0] == [0.125] * 14  # at a setting, exactly its own
    assert curve.together(0.25) == (0.75, 0.25)
    assert "Edema" not in curve.measured


def test_a_curve_is_read_as_it_was_written() -> None:
    curve = a_curve()
    written = json.loads(json.dumps(curve.as_json(), allow_nan=False))
    assert OperatingCurve.from_json(written) == curve
    earlier = {name: value for name, value in written.items() if name not in ("recall", "precision")}
    assert OperatingCurve.from_json(earlier) == curve._replace(recall=None, precision=None)
    for damaged in (
        {},
        {**written, "settings": [0, 1]},
        {**written, "findings": {}},
        {**written, "findings": {**written["findings"], "Edema": {**written["findings"]["Edema"], "found": [0.1]}}},
    ):
        with pytest.raises(ValueError, match=r"damaged|settings|values"):
            OperatingCurve.from_json(damaged)


def test_a_setting_says_what_it_gave_on_validation() -> None:
    assert in_words(0.25) == "0.25 (sensitive)"
    assert in_words(0.3) == "0.3"
    assert a_curve().sentence(0.75) == (
        "Read at operating point 0.75 (specific), not as trained: on validation, stage 1 has recall 0.25 and precision "
        "0.75 (balanced: 0.50 and 0.50), all abnormal findings counted together."
    )
    few = a_curve()._replace(recall=None, precision=None)
    assert few.together(0.25) is None
    assert few.sentence(0.1).endswith("not as trained; what that gave on validation is not known.")
