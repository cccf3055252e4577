"""Archives, and films that a program holds."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from ammrg.errors import ReadError
from ammrg.studies import sources
from ammrg.studies.decoding import decode_study
from ammrg.studies.grouping import StudyFilms, find_studies, study_of
from ammrg.studies.in_memory import film_source
from tests.studies.study_films import FRONT, SIDE, film, picture, pixels, written


def zipped(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def shown(study: StudyFilms) -> list[list[list[int]]]:
    return [each.tolist() for each in decode_study(study).pixels]


def test_an_archive_is_read_like_the_folder_it_holds(tmp_path: Path) -> None:
    files = {
        "x/one.dcm": film("1", "1.2.1", 1, **FRONT),
        "y/two.dcm": film("1", "1.2.1", 2, **SIDE),
        "y/film.png": picture(3),
        "y/text.txt": b"hello",
        "film.png": picture(4),
        "__MACOSX/y/._film.png": b"x",
    }
    for name, data in files.items():
        written(tmp_path / "plain", **{name.replace("/", "__").replace(".", "_"): data})
    archive = zipped(tmp_path / "a.zip", **files)
    before = sorted(tmp_path.rglob("*"))
    folder, packed = find_studies([tmp_path / "plain"]), find_studies([archive])
    assert sorted(map(repr, (each.identity for each in packed.studies))) == sorted(
        map(repr, (each.identity for each in folder.studies))
    )
    ours = {each.identity: shown(each) for each in packed.studies}
    assert ours == {each.identity: shown(each) for each in folder.studies}
    assert len(ours) == 3
    assert [each.path for each in packed.set_aside] == [f"{archive}/y/text.txt"]
    assert sorted(tmp_path.rglob("*")) == before  # nothing was unpacked
    both = find_studies([tmp_path / "plain", archive])
    assert [len(each.films) for each in both.studies] == [len(each.films) for each in folder.studies]
    assert sum("the same image" in each.reason for each in both.set_aside) == 4


def test_a_copied_picture_names_the_one_that_it_equals(tmp_path: Path) -> None:
    written(tmp_path / "a", **{"0_png": picture(1), "1_png": picture(2)})
    written(tmp_path / "b", **{"0_png": picture(2), "1_png": picture(1)})
    reasons = {each.path: each.reason for each in find_studies([tmp_path / "a", tmp_path / "b"]).set_aside}
    assert reasons == {
        str(tmp_path / "b" / "0.png"): f"the same image as {tmp_path / 'a' / '1.png'}",
        str(tmp_path / "b" / "1.png"): f"the same image as {tmp_path / 'a' / '0.png'}",
    }


def test_members_that_lead_out_of_the_archive_are_set_aside(tmp_path: Path) -> None:
    names = ("../../out.png", "/etc/out.png", "a\\..\\..\\out.png", "in.png")
    archive = zipped(tmp_path / "a.zip", **{name: picture(place) for place, name in enumerate(names)})
    found = find_studies([archive])
    assert [Path(each.view.path).name for study in found.studies for each in study.films] == ["in.png"]
    assert [each.reason for each in found.set_aside] == ["its name leads out of the archive"] * 3


def test_archives_beyond_the_limits_or_damaged_are_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = zipped(tmp_path / "a.zip", **{"a.png": picture(1), "b.png": picture(2)})
    broken = tmp_path / "b.zip"
    broken.write_bytes(archive.read_bytes()[:300])
    written(tmp_path / "f", c_png=picture(3))
    paths = [archive, broken, tmp_path / "f"]
    found = find_studies(paths)
    assert len(found.studies) == 2
    assert [each.reason[:34] for each in found.set_aside] == ["cannot be opened as a zip archive:"]
    for name, most in (("MAX_MEMBERS", 1), ("MAX_UNPACKED", 1000)):
        with monkeypatch.context() as patch:
            patch.setattr(sources, name, most)
            found = find_studies(paths)
            assert len(found.studies) == 1
            assert "unpack it and name the folder" in found.set_aside[0].reason
    monkeypatch.setattr(sources, "MAX_BYTES", 100)
    assert "more bytes than the 100" in find_studies([archive]).set_aside[0].reason


def test_a_member_that_lies_about_its_bytes_is_one_sentence(tmp_path: Path) -> None:
    data = zipped(tmp_path / "a.zip", **{"a.png": picture(1), "b.png": picture(2)}).read_bytes()
    spoilt = bytearray(data)
    spoilt[60:90] = bytes(30)
    (tmp_path / "a.zip").write_bytes(spoilt)
    found = find_studies([tmp_path / "a.zip"])
    assert [Path(each.view.path).name for study in found.studies for each in study.films] == ["b.png"]
    assert found.set_aside[0].reason.startswith("cannot be unpacked: ")


def test_a_film_is_the_same_as_path_bytes_image_array_and_data_set(tmp_path: Path) -> None:
    data, grey = picture(1), (pixels(1) >> 4).astype(np.uint8)
    (tmp_path / "a.png").write_bytes(data)
    inputs = [tmp_path / "a.png", str(tmp_path / "a.png"), data, Image.open(io.BytesIO(data)), grey, grey.T.copy().T]
    assert [shown(study_of([film_source(each, 1)])) for each in inputs] == [[grey.tolist()]] * len(inputs)

    deep = pixels(2)
    file = io.BytesIO()
    Image.fromarray(deep).save(file, "PNG")
    stored = film("1", "1.2.1", 2)
    wanted = shown(study_of([film_source(file.getvalue(), 1)]))
    assert shown(study_of([film_source(deep, 1)])) == wanted
    assert shown(study_of([film_source(deep.astype(">u2"), 1)])) == wanted
    assert shown(study_of([film_source(Image.open(io.BytesIO(file.getvalue())), 1)])) == wanted
    tags = pydicom.dcmread(io.BytesIO(stored))
    assert shown(study_of([film_source(tags, 1)])) == shown(study_of([film_source(stored, 1)]))
    described = study_of([film_source(tags, 1)]).films[0].view
    assert described.path == "film 1"
    assert described.dicom is not None
    assert described.dicom.study_uid == "1.2.1"


def test_colour_palette_and_orientation_survive_a_pil_image(tmp_path: Path) -> None:
    grey = Image.fromarray((pixels(3) >> 4).astype(np.uint8))
    turned = grey.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # upright after a quarter turn clockwise
    turned.save(tmp_path / "turned.png", exif=exif)
    for image in (grey.convert("RGB"), grey.convert("P"), grey.convert("RGBA"), Image.open(tmp_path / "turned.png")):
        assert shown(study_of([film_source(image, 1)])) == [np.asarray(grey).tolist()]


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (np.zeros((4, 4), np.float32), ValueError, "film 1: an array of float32"),
        (np.zeros((3, 4, 4), np.uint8), ValueError, r"expected uint8 or uint16 \[h w\]"),
        (7, TypeError, "film 1 is a int"),
        (pydicom.Dataset(), ReadError, "film 1: a data set that cannot be encoded"),
        (b"hello", ReadError, "film 1: cannot be decoded"),
    ],
)
def test_what_is_no_film_is_refused_in_one_sentence(given: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        study_of([film_source(given, 1)])  # type: ignore[arg-type]


def test_films_given_together_must_be_of_one_study_and_patient() -> None:
    def study(*films: bytes, lateral: tuple[int, ...] = ()) -> StudyFilms:
        return study_of([film_source(each, number) for number, each in enumerate(films, 1)], lateral)

    one = film("1", "1.2.1", 1, **FRONT)
    assert len(study(one, film("1", "1.2.1", 2, **SIDE), picture(1)).films) == 3
    with pytest.raises(ReadError, match="of 2 studies; describe each by itself"):
        study(one, film("1", "1.2.2", 1))
    with pytest.raises(ReadError, match="of two patients: PatientID differs between film 1 and film 2"):
        study(one, film("2", "1.2.1", 2))
    assert study(one, lateral=(1,)).films[0].view.projection == "lateral"
    with pytest.raises(ValueError, match="numbered 1 to 1"):
        study(one, lateral=(2,))
    with pytest.raises(ValueError, match="0 films"):
        study()
