"""Signs painted on films of another data set; here on phantom films, whose anatomy is known."""

from __future__ import annotations

import io
import json
import math
import shutil

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ammrg.errors import DataError, SettingsError
from ammrg.findings import FINDINGS, NO_FINDING
from ammrg.text.box_places import finding_place_of_boxes
from ammrg.text.places import finding_places
from datamodules.painted import PaintedDataModule
from datamodules.prepared import load_split, read_card
from datamodules.sources.painted import PAINTER, PAINTINGS, SIDE, paint_study, read
from datamodules.sources.phantom.films import draw_anatomy, expose
from datamodules.sources.phantom.painting import PAINTED, UNLIKE, VISIBLE, Plan, paint, plan_painting, slices
from datamodules.sources.phantom.registration import ANATOMIES, Fit, fit_anatomy, fitted_anatomy
from datamodules.sources.phantom.signs import Sign
from datamodules.sources.phantom.widening import BORDERS, Move, move
from experiments.data.preparation import prepare

DEVICES = FINDINGS.index("Support Devices")


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    out = tmp_path_factory.mktemp("phantom") / "prepared"
    prepare("phantom", None, out, studies={"train": 12, "val": 4, "test": 4}, size=128, seed=3, workers=1)
    return out


@pytest.fixture(scope="module")
def painted(phantom, tmp_path_factory):
    out = tmp_path_factory.mktemp("painted") / "prepared"
    prepare("painted", phantom, out, workers=1)
    return out


def real_film(seed: int, size: int = SIDE):
    """A film of a patient that no template shows, stretched and moved, and the position of its lungs."""
    anatomy = draw_anatomy("frontal", (5, seed), size)
    moved = np.float32([[1.08, 0, -12], [0, 1.2, -24]])
    film = cv2.warpAffine(expose(anatomy.attenuation, (5, seed)), moved, (size, size), borderMode=cv2.BORDER_REPLICATE)
    return film, cv2.warpAffine(anatomy.lung.astype(np.float32), moved, (size, size))


def signs(finding: str, strength: float = 0.8, variant: str = "") -> Plan:
    """A plan with one drawn sign."""
    return Plan(((Sign(finding, False, "left", "mid", 0.5, variant), strength),), ())


@pytest.mark.parametrize("seed", range(6))
def test_a_fitted_anatomy_has_its_lungs_where_the_film_has_them(seed):
    film, lungs = real_film(seed)
    fit = fit_anatomy(film)
    found = fit.lay(fitted_anatomy(fit, SIDE).lung.astype(np.float32)) > 0.5
    both, either = (found & (lungs > 0.5)).sum(), (found | (lungs > 0.5)).sum()
    assert fit.likeness > 0.8
    assert both / either > 0.7


def test_laying_moves_a_point_where_the_stretch_says():
    drawn = np.zeros((100, 100), np.float32)
    drawn[40:50, 70:80] = 1  # its centre is at (0.75, 0.45)
    rows, columns = np.nonzero(Fit(0, 1.2, 1.4, 0.05, -0.1, 1.0).lay(drawn) > 0.5)
    middle = (columns.mean() + 0.5) / 100, (rows.mean() + 0.5) / 100
    assert middle == pytest.approx((0.5 + 1.2 * 0.25 + 0.05, 0.5 - 1.4 * 0.05 - 0.1), abs=0.005)


@pytest.mark.parametrize("finding", [name for name in PAINTED if name not in BORDERS])
def test_a_sign_changes_the_film_in_its_box_alone_and_to_the_side_it_should(finding):
    film, _ = real_film(1)
    variant = "pacemaker" if finding == "Support Devices" else ""
    painted = paint(film, fit_anatomy(film), signs(finding, variant=variant), (4,))
    assert {name for name, _ in painted.boxes} == {finding}
    outside = np.ones(film.shape, bool)
    for _, box in painted.boxes:
        outside[slices(box)] = False
        assert np.abs(painted.pixels[slices(box)].astype(int) - film[slices(box)]).max() >= VISIBLE
    assert (painted.pixels[outside] == film[outside]).all()
    change = (painted.pixels[~outside].astype(int) - film[~outside]).sum()
    assert change > 0 or finding == "Pneumothorax"  # air is dark; a broken rib gains callus


def test_what_cannot_be_seen_is_not_there():
    white = np.full((SIDE, SIDE), 255, np.uint8)
    film, _ = real_film(1)
    plan = signs("Lung Lesion")
    assert paint(film, fit_anatomy(film), plan, (4,)).boxes
    assert not paint(white, fit_anatomy(film), plan, (4,)).boxes


@pytest.mark.parametrize("grey", [0, 2, 253, 255])
def test_the_darkest_and_the_whitest_pixels_move_to_the_side_of_the_sign_or_not_at_all(grey):
    film, _ = real_film(1)
    plain = np.full_like(film, grey)
    for strength in (0.15, 0.8):
        painted = paint(plain, fit_anatomy(film), signs("Lung Lesion", strength), (4,))
        assert (painted.pixels >= grey).all()


def test_a_film_that_is_like_no_anatomy_stays_as_it_is(phantom):
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    assert fit_anatomy(noise).likeness < UNLIKE
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    row = {**load_split(phantom, "train")[0], "images": [file.getvalue()], "labels": [0.0] * 14}
    for number in range(8):
        study = paint_study(row, 0, number, 0)
        assert not study.boxes
        assert study.labels == (0.0,) * 14
        assert (np.asarray(Image.open(io.BytesIO(study.views[0].image))) == noise).all()


def test_plans_vary():
    plans = [plan_painting((seed,)) for seed in range(400)]
    widened = [{move.finding for move in plan.moves if move.right + move.left > 0} for plan in plans]
    named = [{sign.finding for sign, _ in plan.signs} | wide for plan, wide in zip(plans, widened, strict=True)]
    assert np.bincount([len(names) for names in named]) / 400 == pytest.approx([0.15, 0.40, 0.30, 0.15], abs=0.08)
    assert set().union(*named) == set(PAINTED)
    assert not {sign.finding for plan in plans for sign, _ in plan.signs} & set(BORDERS)  # never drawn
    assert min(sign.size for plan in plans for sign, _ in plan.signs) < 0
    for finding in BORDERS:
        ways = [(move.right, move.left) for plan in plans for move in plan.moves if move.finding == finding]
        shifts = [left for right, left in ways if right == -left]
        assert any(left > 0 for left in shifts)
        assert any(left < 0 for left in shifts)
        assert len(shifts) / 400 == pytest.approx(0.3 * 12 / 13, abs=0.08)
        assert all(right > 0 and left > 0 for right, left in ways if right != -left)
    assert plan_painting((3,)) == plan_painting((3,))


def on_film(fit, anatomy, x, y):
    """Column and row of a point in patient coordinates, not rounded."""
    u, v = anatomy.pose.to_film(np.array([x, y]))
    return (0.5 + fit.width * (u - 0.5) + fit.across) * SIDE, (0.5 + fit.height * (v - 0.5) + fit.down) * SIDE


def breadth(lungs, row):
    """First and last column of the shadow between the lungs in a row, and of both lungs."""
    columns = np.flatnonzero(lungs[row] > 127)
    gaps = np.flatnonzero(np.diff(columns) > 1)
    gap = gaps[np.argmax(np.diff(columns)[gaps])]
    return columns[gap], columns[gap + 1], columns[0], columns[-1]


@pytest.mark.parametrize("finding", BORDERS)
@pytest.mark.parametrize("seed", range(3))
def test_a_widened_shadow_moves_its_borders_as_far_as_it_says_and_nothing_else(finding, seed):
    """Measured on the lungs of a drawn patient, whose edges are the borders."""
    fit = Fit(seed, 1.1, 1.25, 0.02, -0.05, 1.0)
    anatomy = fitted_anatomy(fit, SIDE)
    lungs = np.where(fit.lay(anatomy.lung.astype(np.float32)) > 0.5, 255, 0).astype(np.uint8)
    border = BORDERS[finding]
    place = Move(finding, border.right_share * border.most, border.most)
    moved, boxes = move(lungs, fit, anatomy, [place])
    pose = anatomy.pose
    row = round(on_film(fit, anatomy, 0.0, border.centre)[1])
    before, after = breadth(lungs, row), breadth(moved, row)
    pixels = SIDE * fit.width * pose.scale * pose.width
    # A border away from the drawn patients' mean moves a little less.
    assert before[0] - after[0] == pytest.approx(place.right * pixels, abs=2 + 0.3 * place.right * pixels)
    assert after[1] - before[1] == pytest.approx(place.left * pixels, abs=2 + 0.3 * place.left * pixels)
    assert after[2:] == pytest.approx(before[2:], abs=1)  # chest walls
    ((name, (x0, y0, x1, y1)),) = boxes
    assert name == finding
    assert x0 < after[0] < after[1] < x1
    assert y0 < row < y1
    assert x1 - x0 < 0.8 * (after[3] - after[2])  # the shadow, not the whole moved area


def turned_most():
    """The drawn patient with the largest rotation."""
    angle = {i: fitted_anatomy(Fit(i, 1, 1, 0, 0, 1), 32).pose.angle for i in range(ANATOMIES)}
    return max(angle, key=lambda i: abs(angle[i]))


@pytest.mark.parametrize("shifted", [0, 1, -1])
@pytest.mark.parametrize("finding", BORDERS)
def test_a_film_moves_along_the_patient_as_far_as_planned_and_never_folds(finding, shifted):
    """Measured on films whose grey is the column, or the row."""
    border = BORDERS[finding]
    fit = Fit(turned_most(), 1.1, 1.25, 0.02, -0.05, 1.0)
    anatomy = fitted_anatomy(fit, SIDE)
    far = shifted * 0.8 * border.least or border.most
    planned = [Move(finding, -far if shifted else border.right_share * far, far)]
    rows, columns = np.indices((SIDE, SIDE), np.uint8)
    row, column = (move(ramp, fit, anatomy, planned)[0].astype(int) for ramp in (rows, columns))
    assert (np.diff(column, axis=1) >= 0).all()
    assert (np.diff(row, axis=0) >= 0).all()

    new, old = (on_film(fit, anatomy, x, border.centre) for x in (border.left + far, border.left))
    at = round(new[1]), round(new[0])
    # Tolerance: half a grey level is lost by rounding, and a pixel is not exactly the point.
    assert column[at] - columns[at] == pytest.approx(old[0] - new[0], abs=1.2)
    assert row[at] - rows[at] == pytest.approx(old[1] - new[1], abs=0.7)
    if not shifted:
        assert abs(old[1] - new[1]) > 0.7 or finding != "Cardiomegaly"
    turned = 0.05  # points beside the midline are higher or lower
    top = int(on_film(fit, anatomy, 0, border.centre - border.reach - turned)[1])
    bottom = int(on_film(fit, anatomy, 0, border.centre + border.reach + turned)[1])
    assert bottom < SIDE - 10
    assert top > 10 or finding != "Cardiomegaly"  # a mediastinum may start above the film
    for still in (slice(0, max(top, 0)), slice(bottom, SIDE)):
        assert (column[still] == columns[still]).all()


@pytest.mark.parametrize("finding", BORDERS)
def test_a_plan_moves_the_film_and_lays_its_signs_on_what_was_moved(finding):
    film, _ = real_film(1)
    fit = fit_anatomy(film)
    border = BORDERS[finding]
    moves = (Move(finding, border.right_share * border.most, border.most),)
    moved, boxes = move(film, fit, fitted_anatomy(fit, SIDE), moves)
    widened = paint(film, fit, Plan((), moves), (4,))
    assert (widened.pixels == moved).all()
    assert list(widened.boxes) == boxes
    both = paint(film, fit, Plan(signs("Support Devices", variant="pacemaker").signs, moves), (4,))
    assert {name for name, _ in both.boxes} == {finding, "Support Devices"}
    outside = np.ones(film.shape, bool)
    for name, box in both.boxes:
        if name != finding:
            outside[slices(box)] = False
    assert (both.pixels[outside] == moved[outside]).all()
    # As if the moved film were the patient's own.
    wide = signs("Edema")
    painted = paint(film, fit, Plan(wide.signs, moves), (4,)).pixels
    assert (painted == paint(moved, fit, wide, (4,)).pixels).all()
    assert (painted != moved).any()
    # On a uniform film no movement is visible.
    assert not paint(np.full_like(film, 90), fit, Plan((), moves), (4,)).boxes


def test_a_shift_is_no_finding_and_no_move_leaves_the_film():
    film, _ = real_film(1)
    fit = fit_anatomy(film)
    anatomy = fitted_anatomy(fit, SIDE)
    shifted, boxes = move(film, fit, anatomy, [Move("Cardiomegaly", -0.02, 0.02)])
    assert not boxes
    assert (shifted != film).any()
    assert (move(film, fit, anatomy, [])[0] == film).all()


def test_every_frontal_film_is_painted_in_its_patients_split(phantom, painted):
    for split, times in PAINTINGS.items():
        base = {row["study_id"]: row for row in load_split(phantom, split)}
        frontal = sum(row["projections"].count("frontal") for row in base.values())
        rows = list(load_split(painted, split))
        assert len(rows) == times * frontal
        for row in rows:
            own = base[row["study_id"].split("-")[0]]
            assert row["subject_id"] == own["subject_id"]
            assert row["report"].startswith(own["report"])
            drawn = {box["finding"] for box in row["boxes"]}
            for i in range(NO_FINDING):
                assert row["labels"][i] == 1.0 if i in drawn else same(row["labels"][i], own["labels"][i])
            disease = drawn - {DEVICES}
            assert math.isnan(row["labels"][NO_FINDING]) if disease else same(row["labels"][-1], own["labels"][-1])
            assert all(0 <= box["x0"] < box["x1"] <= 1 and 0 <= box["y0"] < box["y1"] <= 1 for box in row["boxes"])
    train = [row["study_id"].split("-")[0] for row in load_split(painted, "train")]
    assert train != sorted(train)


def test_after_its_own_text_the_report_says_what_was_painted_and_where(phantom, painted):
    sided = 0
    for split in PAINTINGS:
        base = {row["study_id"]: row["report"] for row in load_split(phantom, split)}
        for row in load_split(painted, split):
            said = row["report"].removeprefix(base[row["study_id"].split("-")[0]])
            boxes = {}
            for box in row["boxes"]:
                corners = tuple(box[name] for name in ("x0", "y0", "x1", "y1"))
                boxes.setdefault(FINDINGS[box["finding"]], []).append(corners)
            assert finding_places(said) == {name: finding_place_of_boxes(name, each) for name, each in boxes.items()}
            sided += sum(len(place.side) == 1 for place in finding_places(said).values())
    assert sided > 20


def same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def test_the_same_seed_paints_the_same_and_another_does_not(phantom, painted, tmp_path):
    prepare("painted", phantom, tmp_path / "again", workers=2)
    prepare("painted", phantom, tmp_path / "other", workers=1, seed=1)
    prints = [read_card(folder)["fingerprint"] for folder in (painted, tmp_path / "again", tmp_path / "other")]
    assert prints[0] == prints[1] != prints[2]


def test_the_card_says_what_was_painted_and_a_batch_has_it(phantom, painted):
    card, base = read_card(painted), read_card(phantom)
    assert (card["dataset"], card["restricted"]) == ("painted", False)
    assert card["notes"]["painted_from"] == f"phantom {base['fingerprint']}"
    data = PaintedDataModule(str(painted), image_size=64, batch_size=4, eval_batch_size=4)
    data.setup()
    batch = next(iter(data.evaluation_loader("val")))
    assert batch.images.shape == (4, 1, 64, 64)
    assert batch.boxes


def test_what_is_restricted_stays_so(phantom, tmp_path):
    copy = shutil.copytree(phantom, tmp_path / "copy")
    card = copy / "card.json"
    card.write_text(card.read_text().replace('"restricted": false', '"restricted": true'))
    assert read(copy).restricted
    assert not read(phantom).restricted


def changed(path, column, row, value):
    """Change a value in a Parquet file."""
    table = pq.read_table(path)
    values = table[column].to_pylist()
    values[row] = value
    place, field = table.schema.get_field_index(column), table.schema.field(column)
    pq.write_table(table.set_column(place, field, pa.array(values, field.type)), path)


def test_a_film_that_cannot_be_read_is_set_aside_by_name(phantom, tmp_path):
    copy = shutil.copytree(phantom, tmp_path / "copy", ignore=shutil.ignore_patterns(".cache"))
    first = load_split(phantom, "train")[0]
    place = first["projections"].index("frontal")
    images = [b"rotten" if number == place else image for number, image in enumerate(first["images"])]
    changed(copy / "train-00000.parquet", "images", 0, images)
    card = prepare("painted", copy, tmp_path / "out", workers=1, max_rejected=1.0)
    assert card["rejected"] == PAINTINGS["train"]
    lines = [json.loads(line) for line in (tmp_path / "out" / "rejected.jsonl").read_text().splitlines()]
    name = f"{first['study_id']}-{place + 1}"
    assert {line["study_id"] for line in lines} == {f"{name}-{number + 1}" for number in range(PAINTINGS["train"])}
    assert name not in {row["study_id"].rpartition("-")[0] for row in load_split(tmp_path / "out", "train")}


def test_a_label_that_is_none_is_named_by_its_study(phantom, tmp_path):
    copy = shutil.copytree(phantom, tmp_path / "copy", ignore=shutil.ignore_patterns(".cache"))
    index = pq.read_table(copy / "index.parquet")
    changed(copy / "index.parquet", "labels", 5, [0.0] * 3 + [2.0] + [0.0] * 10)
    with pytest.raises(DataError, match=rf"Lung Lesion of study {index['study_id'][5]} is 2; a label is 1, 0, -1"):
        prepare("painted", copy, tmp_path / "out", workers=1)


def test_films_that_were_prepared_anew_are_not_the_painted_ones(phantom, tmp_path):
    copy = shutil.copytree(phantom, tmp_path / "copy")
    prepare("painted", copy, tmp_path / "out", workers=1)
    assert prepare("painted", None, tmp_path / "out") == prepare("painted", copy, tmp_path / "out")
    card = copy / "card.json"
    card.write_text(card.read_text().replace(read_card(copy)["fingerprint"], "anew"))
    with pytest.raises(SettingsError, match=rf"\n  {copy} has been prepared again since this folder was painted"):
        prepare("painted", copy, tmp_path / "out")


def test_a_folder_of_an_earlier_painter_is_not_what_would_be_painted_now(phantom, tmp_path):
    prepare("painted", phantom, tmp_path / "out", workers=1)
    kept = tmp_path / "out" / "prepare.json"
    kept.write_text(kept.read_text().replace(f'"painter": {PAINTER}', '"painter": 1'))
    with pytest.raises(SettingsError, match=rf"painter: 1 \(kept\) -> {PAINTER} \(asked\)"):
        prepare("painted", phantom, tmp_path / "out")


def test_wrong_folders_and_settings(phantom, painted, tmp_path):
    with pytest.raises(SettingsError, match="already painted; name the folder"):
        read(painted)
    with pytest.raises(SettingsError, match=r"--section impression: .* was prepared with --section findings"):
        read(phantom, section="impression")
    with pytest.raises(SettingsError, match="--source csv: not known for painted"):
        read(phantom, source="csv")
    with pytest.raises(DataError, match=r"card\.json"):
        read(tmp_path)
    with pytest.raises(SettingsError, match="--size 128: painted films are 256 pixels on a side"):
        prepare("painted", phantom, tmp_path / "out", size=128)
    with pytest.raises(SettingsError, match="--seed -1: must not be negative"):
        prepare("painted", phantom, tmp_path / "out", seed=-1)
    with pytest.raises(SettingsError, match="painted needs --raw"):
        prepare("painted", None, tmp_path / "out")
