"""Version 2 of the phantom: plan, boxes and texts agree on every place, and nothing else in a text gives it away."""

from __future__ import annotations

import hashlib
import io
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from PIL import Image

from ammrg.errors import SettingsError
from ammrg.findings import FINDINGS
from ammrg.text.box_places import place_of_boxes
from ammrg.text.labeler import sentences
from ammrg.text.place_words import IMPLIED, LEVELS, MIDLINE, SIDES
from ammrg.text.places import finding_places
from datamodules.sources.phantom import StudyPlan, draw_study, placed_wordings, plan_study
from datamodules.sources.phantom.films import draw_film
from datamodules.sources.phantom.sentences import Report, write_report
from datamodules.sources.phantom.signs import Sign

COUNT, DRAWN, SIZE = 2000, 1000, 96
WITH_LEVEL = {
    *("Lung Opacity", "Lung Lesion", "Edema", "Consolidation", "Pneumonia", "Atelectasis"),
    *("Pneumothorax", "Pleural Effusion", "Pleural Other"),
}


@pytest.fixture(scope="module")
def studies() -> list[tuple[StudyPlan, Report]]:
    plans = [plan_study("train", index) for index in range(COUNT)]
    return [(plan, write_report(plan)) for plan in plans]


def placed(plan: StudyPlan) -> list[Sign]:
    """The affirmed signs that are not on the midline."""
    return [sign for sign in plan.signs if not sign.uncertain and sign.side]


def says_level(sign: Sign) -> bool:
    """Whether a report can name the sign's level."""
    return sign.zone not in ("", IMPLIED.get(sign.finding))


def test_every_sign_has_a_side_and_those_of_lung_and_pleura_a_level(studies: list[tuple[StudyPlan, Report]]) -> None:
    for plan, _ in studies:
        for sign in plan.signs:
            assert (sign.side in SIDES) == (sign.finding not in MIDLINE), sign
            assert sign.zone in LEVELS or sign.finding not in WITH_LEVEL, sign
            assert sign.sides <= set(SIDES)


def test_both_versions_have_the_same_findings(studies: list[tuple[StudyPlan, Report]]) -> None:
    for index, (plan, _) in enumerate(studies[:300]):
        first = plan_study("train", index, version=1)
        assert [sign[:2] for sign in first.signs] == [sign[:2] for sign in plan.signs]
        assert first[:4] == plan[:4]


def test_many_studies_have_findings_on_different_sides(studies: list[tuple[StudyPlan, Report]]) -> None:
    sides = [[sign.sides for sign in placed(plan)] for plan, _ in studies]
    several = [each for each in sides if len(each) > 1]
    assert len(several) > COUNT / 3
    assert np.mean([len(set(each)) > 1 for each in several]) >= 0.4
    apart = [each for each in several if {frozenset({side}) for side in SIDES} <= set(each)]
    assert len(apart) >= 0.4 * len(several)


def test_boxes_are_where_the_plan_says() -> None:
    levels: list[bool] = []
    both: Counter[str] = Counter()
    for index in range(DRAWN):
        plan = plan_study("train", index)
        film = draw_film("frontal", plan.signs, (*plan.seed, 100), SIZE, plan.positioning)
        for sign in plan.signs:
            boxes = [tuple(corner / SIZE for corner in box) for name, box in film.boxes if name == sign.finding]
            found = place_of_boxes(boxes)
            if sign.finding in MIDLINE:
                continue
            assert found.side == sign.sides, (index, sign, boxes)
            if len(sign.sides) == 2:
                assert len(boxes) == 2, (index, sign)
                both[sign.finding] += 1
            if sign.zone:
                levels.append(found.level == {sign.zone})
    assert len(levels) > DRAWN
    assert np.mean(levels) >= 0.97
    assert set(both) == {"Edema", "Pleural Effusion", "Atelectasis"}
    assert min(both.values()) >= 20


def test_texts_say_the_place_of_the_plan_or_less_and_mostly_all(studies: list[tuple[StudyPlan, Report]]) -> None:
    sides, levels = [], []
    for plan, report in studies:
        for text in (report.findings, report.impression):
            found = finding_places(text)
            for sign in plan.signs:
                if sign.uncertain:
                    continue
                place = found[sign.finding]
                assert place.side in (frozenset(), sign.sides), (sign, text)
                assert place.level in (frozenset(), {sign.zone}), (sign, text)
                if text is report.findings and sign.side:
                    sides.append(bool(place.side))
                if text is report.findings and says_level(sign):
                    levels.append(bool(place.level))
    assert 0.93 <= np.mean(sides) <= 0.97
    assert 0.82 <= np.mean(levels) <= 0.88


@pytest.mark.parametrize(
    "words",
    [
        "left lower lobe|right upper zone|in the lingula|lingular|right middle lobe|retrocardiac|left apical",
        "costophrenic angle|at the right base|left-sided|bibasilar|biapical|bilateral|at both bases|on both sides",
        "left greater than right|right greater than left|On the left, there is|In the lingula, |On the right, ",
    ],
)
def test_words_of_place_vary(words: str, studies: list[tuple[StudyPlan, Report]]) -> None:
    texts = " ".join(report.findings for _, report in studies)
    for phrase in words.split("|"):
        assert texts.count(phrase) >= 3, phrase


# --- nothing but the words of place tells the place -------------------------------------------------------------------


def template_of(sign: Sign, report: Report) -> str:
    """The wording of an affirmed sign: of those that a sentence of the report may come from, the longest."""
    key = f"{sign.finding}/{sign.variant}" if sign.variant else sign.finding
    fitting = [
        template
        for template in placed_wordings.PRESENT[key]
        for sentence in sentences(report.findings)
        if as_regex(template).fullmatch(sentence)
    ]
    assert fitting, (sign, report.findings)
    return max(fitting, key=lambda template: len(re.sub(r"\{\w+\}", "", template)))


def as_regex(template: str) -> re.Pattern[str]:
    """Matches every sentence that a wording can become."""
    fields = {"size": r"\w+", "degree": r"\w+", "is": "(?:is|are)", "a": "(?:an? )?", "s": "s?"}
    parts = re.split(r"\{(\w+)\}", re.sub(r"\b([Aa]) (?=\{where\})", r"\1n? ", template))
    body = "".join(fields.get(part, ".*") if i % 2 else re.escape(part) for i, part in enumerate(parts))
    return re.compile(rf"(?:[^,]+, )?{body}".replace(r"n\?", "n?"), re.IGNORECASE)


def surprises(pairs: Iterable[tuple[str, str]], options: Sequence[str], least: int = 40) -> list[tuple[str, float]]:
    """Of each cue that occurs often enough: its farthest option from equal shares, in standard deviations."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for cue, option in pairs:
        counts[cue][option] += 1
    share = 1 / len(options)
    return [
        (cue, max(abs(found[option] - n * share) for option in options) / math.sqrt(n * share * (1 - share)))
        for cue, found in counts.items()
        if (n := found.total()) >= least
    ]


def cues(plan: StudyPlan, sign: Sign, report: Report) -> list[str]:
    """What a text model could go by: the finding, its wording, and each other finding of the study."""
    others = (other.finding for other in plan.signs if other.finding != sign.finding)
    return [sign.finding, template_of(sign, report), *(f"{sign.finding} with {other}" for other in others)]


@pytest.fixture(scope="module")
def cued(studies: list[tuple[StudyPlan, Report]]) -> list[tuple[list[str], Sign]]:
    return [
        (cues(plan, sign, report), sign) for plan, report in studies for sign in placed(plan) if len(sign.sides) == 1
    ]


def test_no_wording_and_no_other_finding_tells_the_side_or_level(cued: list[tuple[list[str], Sign]]) -> None:
    for options, pairs in (
        (SIDES, [(cue, sign.side) for found, sign in cued for cue in found]),
        (LEVELS, [(cue, sign.zone) for found, sign in cued if says_level(sign) for cue in found]),
    ):
        found = surprises(pairs, options)
        assert len(found) > 40
        assert max(far for _, far in found) < 4.5, sorted(found, key=lambda each: -each[1])[:5]


def test_a_wording_that_told_the_side_would_be_noticed(cued: list[tuple[list[str], Sign]]) -> None:
    draw = np.random.default_rng(0)
    wording = placed_wordings.PRESENT["Pneumothorax"][0]
    pairs = [
        (found[1], "left" if found[1] == wording and draw.random() < 0.75 else sign.side)
        for found, sign in cued
        if sign.finding == "Pneumothorax"
    ]
    assert max(surprises(pairs, SIDES), key=lambda each: each[1])[0] == wording
    assert max(far for _, far in surprises(pairs, SIDES)) > 4.5


def test_the_commonest_side_of_each_wording_is_right_as_often_as_a_coin(cued: list[tuple[list[str], Sign]]) -> None:
    half = len(cued) // 2
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for found, sign in cued[:half]:
        seen[found[1]][sign.side] += 1
    right = [seen[found[1]].most_common(1)[0][0] == sign.side for found, sign in cued[half:] if seen[found[1]]]
    assert len(right) > 1000
    assert abs(np.mean(right) - 0.5) < 4 * 0.5 / math.sqrt(len(right))


# --- version 1 --------------------------------------------------------------------------------------------------------


def test_version_1_is_drawn_and_written_as_it_always_was() -> None:
    """Facts of the first studies, noted before there was a second version."""
    texts = [" ".join(write_report(plan_study("train", index, version=1))[:3]) for index in range(100)]
    assert hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16] == "6d0b37ccd4d444f3"
    found = []
    for index in range(6):
        study = draw_study("train", index, version=1)
        film = np.asarray(Image.open(io.BytesIO(study.views[0].image)), float)
        boxes = [f"{FINDINGS[box.finding]} {round(256 * box.x0)} {round(256 * box.y0)}" for box in study.boxes]
        found.append((round(float(film.mean()), 1), boxes[:2]))
    assert found == [
        (95.2, ["Consolidation 141 145", "Pneumonia 63 71"]),
        (120.4, []),
        (93.5, ["Support Devices 153 87", "Pneumonia 147 112"]),
        (98.4, []),
        (117.1, []),
        (115.7, ["Enlarged Cardiomediastinum 134 40", "Pleural Other 36 138"]),
    ]


def test_versions_that_do_not_exist() -> None:
    with pytest.raises(SettingsError, match="version 3 of the phantom: not known; give one of 1, 2"):
        plan_study("train", 0, version=3)
