"""The phantom's films: reproducible bytes, signs only within their tight boxes, uncertain signs fainter."""

import io

import numpy as np
import pytest
from PIL import Image

from ammrg.findings import ABNORMAL, FINDINGS
from datamodules.sources.phantom import draw_study, generate
from datamodules.sources.phantom.films import draw_anatomy, draw_film, draw_signs, expose
from datamodules.sources.phantom.signs import SIGNS, Sign

SIZE = 256
VARIANTS = {"Support Devices": ("pacemaker", "port", "tube", "wires"), "Fracture": ("", "clavicle")}
KINDS = [(FINDINGS[i], variant) for i in ABNORMAL for variant in VARIANTS.get(FINDINGS[i], ("",))]
PLACES = [("right", "upper"), ("left", "mid"), ("right", "lower"), ("left", "upper")]


def signs_of(finding: str, variant: str, uncertain: bool = False):
    for k, (side, zone) in enumerate(PLACES):
        yield k, Sign(finding, uncertain, side, zone, 0.15 + 0.25 * k, variant)


def contrast(finding: str, variant: str, uncertain: bool, projection: str = "frontal") -> list[float]:
    """Summed grey change of the sign on each of four films: how visible it is."""
    found = []
    for k, sign in signs_of(finding, variant, uncertain):
        sign = sign._replace(size=0.3)
        anatomy = draw_anatomy(projection, (3, k), SIZE)
        (_, drawn), *_ = draw_signs(anatomy, [sign], (3, k))
        total = anatomy.attenuation + sum(one.change for one in drawn)
        without = expose(anatomy.attenuation, (3, k)).astype(float)
        found.append(float(np.abs(expose(total, (3, k)) - without).sum()))
    return found


def test_every_abnormal_finding_has_a_sign():
    assert set(SIGNS) == {FINDINGS[i] for i in ABNORMAL}


def test_a_study_is_the_same_bytes_again_and_does_not_depend_on_others():
    again = list(generate({"val": 3}, seed=5, size=96))[2]
    study = draw_study("val", 2, seed=5, size=96)
    assert again.views == study.views
    assert again.boxes == study.boxes
    assert again.findings == study.findings
    np.testing.assert_array_equal(again.labels, study.labels)
    assert draw_study("val", 2, seed=6, size=96).views != study.views
    assert draw_study("train", 2, seed=5, size=96).views != study.views


@pytest.mark.parametrize("projection", ["frontal", "lateral"])
@pytest.mark.parametrize(("finding", "variant"), KINDS)
def test_a_sign_is_seen_only_inside_its_boxes(finding, variant, projection):
    for k, sign in signs_of(finding, variant):
        seed = (7, k)
        without = expose(draw_anatomy(projection, seed, SIZE).attenuation, seed)
        film = draw_film(projection, [sign], seed, SIZE)
        assert film.boxes, f"{sign} left no mark on the {projection} film"
        outside = np.ones((SIZE, SIZE), bool)
        for name, (x0, y0, x1, y1) in film.boxes:
            assert name == finding
            assert 0 <= x0 < x1 <= SIZE
            assert 0 <= y0 < y1 <= SIZE
            outside[max(y0 - 2, 0) : y1 + 2, max(x0 - 2, 0) : x1 + 2] = False
        np.testing.assert_array_equal(film.pixels[outside], without[outside])
        changed = np.abs(film.pixels.astype(int) - without)[~outside]
        assert changed.max() >= 25, f"{sign} is hardly visible on the {projection} film: {changed.max()} of 255"


@pytest.mark.parametrize(("finding", "variant"), KINDS)
def test_an_uncertain_sign_is_fainter_than_a_present_one(finding, variant):
    present, doubtful = contrast(finding, variant, False), contrast(finding, variant, True)
    assert all(d < 0.75 * p for p, d in zip(present, doubtful, strict=True))
    assert np.median(doubtful) < 0.55 * np.median(present)
    assert min(doubtful) > 0


def test_boxes_are_tight_and_signs_have_no_fixed_place():
    studies = [draw_study("train", index, seed=1, size=128) for index in range(70)]
    boxes = [box for study in studies for box in study.boxes]
    areas = np.array([(box.x1 - box.x0) * (box.y1 - box.y0) for box in boxes])
    assert np.median(areas) <= 0.08
    assert areas.max() <= 0.2
    centres = np.array([((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2) for box in boxes])
    assert (centres.std(axis=0) > 0.12).all()


def test_every_positive_or_uncertain_finding_has_a_box_on_every_film_and_no_other_has():
    for index in range(40):
        study = draw_study("test", index, size=128)
        marked = {FINDINGS[i] for i in ABNORMAL if study.labels[i] in (1.0, -1.0)}
        for number in range(len(study.views)):
            assert {FINDINGS[box.finding] for box in study.boxes if box.view == number} == marked


def test_views_are_grey_pngs_of_the_asked_size_frontal_first():
    for index in range(6):
        study = draw_study("test", index, size=160)
        assert study.views[0].projection == "frontal"
        for view in study.views:
            with Image.open(io.BytesIO(view.image)) as film:
                assert (film.format, film.mode, film.size) == ("PNG", "L", (160, 160))
                pixels = np.asarray(film, float)
            assert 40 < pixels.mean() < 190
            assert pixels.std() > 25
