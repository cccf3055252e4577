"""Films of folders grouped by study; what is no chest film is set aside with its reason."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import re
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from ammrg.errors import ReadError, SettingsError
from ammrg.studies.decoding import decode_study
from ammrg.studies.grouping import MAX_FILMS, FoundStudies, StudyFilms, find_studies, study_of
from ammrg.studies.in_memory import film_source
from ammrg.studies.records import StudyIdentity
from tests.studies.study_films import FRONT, SIDE, colour_picture, film, picture, written


def a_dot() -> bytes:
    """A picture of one pixel."""
    file = io.BytesIO()
    Image.new("L", (1, 1)).save(file, "PNG")
    return file.getvalue()


def names(study: StudyFilms) -> list[str]:
    return [Path(each.view.path).name for each in study.films]


def reasons(found: FoundStudies) -> dict[str, str]:
    return {Path(each.path).name: each.reason for each in found.set_aside}


def test_films_are_grouped_by_study_and_patient_whatever_their_folders(tmp_path: Path) -> None:
    written(
        tmp_path,
        a__one_dcm=film("1", "1.2.1", 1, **FRONT),
        b__two_dcm=film("1", "1.2.1", 2, **SIDE),
        b__three_dcm=film("2", "1.2.2", 1, **FRONT),
        a__four_dcm=film("1", "1.2.3", 1, **FRONT),
        a__five_png=picture(5),
        c__six_png=picture(6),
        c__seven_png=picture(7),
    )
    found = find_studies([tmp_path])
    assert {frozenset(names(study)) for study in found.studies} == {
        frozenset({"one.dcm", "two.dcm"}),
        frozenset({"three.dcm"}),
        frozenset({"four.dcm"}),
        frozenset({"five.png"}),
        frozenset({"six.png", "seven.png"}),
    }
    assert not found.set_aside
    assert found.studies_set_aside == 0
    uids = {study.identity.uid for study in found.studies}
    assert uids == {"1.2.1", "1.2.2", "1.2.3", None}
    keys = [study.identity.key for study in found.studies]
    assert len(set(keys)) == 5
    assert all(re.fullmatch("[0-9a-f]{16}", key) for key in keys)
    one = next(study for study in found.studies if study.identity.uid == "1.2.1")
    assert [each.view.dicom and each.view.dicom.sop_instance_uid for each in one.films] == ["1.2.1.1.1", "1.2.1.1.2"]
    assert "Family" not in repr([study.films for study in found.studies])  # no record names a patient


def test_the_order_of_files_and_of_folders_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"b.png": picture(1), "a10.png": picture(2), "a2.png": picture(3)}
    files |= {"z.dcm": film("1", "1.2.1", 1), "y.dcm": film("1", "1.2.1", 2)}
    walk, found = os.walk, []
    for place, order in enumerate(itertools.islice(itertools.permutations(files), 0, None, 29)):
        folder = tmp_path / "x"
        folder.mkdir()
        for name in order:
            (folder / name).write_bytes(files[name])
        if place % 2:
            monkeypatch.setattr(os, "walk", lambda top: ((a, b[::-1], c[::-1]) for a, b, c in walk(top)))
        found.append([(study.identity, study.films) for study in find_studies([folder]).studies])
        shutil.rmtree(folder)
    assert len(found) > 4
    assert all(each == found[0] for each in found)
    assert [[Path(one.view.path).name for one in films] for _, films in found[0]] == [
        ["a2.png", "a10.png", "b.png"],
        ["z.dcm", "y.dcm"],  # by instance number
    ]


def test_films_named_one_by_one_are_one_study_unless_their_tags_say_otherwise(tmp_path: Path) -> None:
    written(
        tmp_path,
        a__front_png=picture(1),
        b__side_png=picture(2),
        one_dcm=film("1", "1.2.1", 1, **FRONT),
        two_dcm=film("1", "1.2.1", 2, **SIDE),
        other_dcm=film("2", "1.2.2", 1, **FRONT),
    )
    front, side, one, two, other = (
        tmp_path / name for name in ("a/front.png", "b/side.png", "one.dcm", "two.dcm", "other.dcm")
    )
    assert [names(study) for study in find_studies([side, front]).studies] == [["side.png", "front.png"]]
    assert [names(study) for study in find_studies([two, one, side]).studies] == [["one.dcm", "two.dcm", "side.png"]]
    assert {tuple(names(study)) for study in find_studies([one, other, side]).studies} == {
        ("one.dcm",),
        ("other.dcm",),
        ("side.png",),
    }


@pytest.mark.parametrize(
    ("tags", "attribute"),
    [
        ({"PatientID": "2"}, "PatientID"),
        ({"IssuerOfPatientID": "B"}, "IssuerOfPatientID"),
        ({"PatientID": "", "PatientName": "Other^Given"}, "PatientName and PatientBirthDate"),
        ({"PatientID": ""}, None),
        ({}, None),
    ],
)
def test_a_study_of_two_patients_is_not_described(
    tmp_path: Path, tags: dict[str, object], attribute: str | None
) -> None:
    first = film("1", "1.2.1", 1, IssuerOfPatientID="A")
    written(tmp_path, a_dcm=first, b_dcm=film("1", "1.2.1", 2, **{"IssuerOfPatientID": "A", **tags}))
    found = find_studies([tmp_path])
    if attribute is None:
        assert [names(study) for study in found.studies] == [["a.dcm", "b.dcm"]]
        return
    assert (found.studies, found.studies_set_aside) == ([], 1)
    assert set(reasons(found)) == {"a.dcm", "b.dcm"}
    assert f"of two patients: {attribute} differs between" in reasons(found)["a.dcm"]


def test_without_a_patient_s_number_name_and_birth_date_decide(tmp_path: Path) -> None:
    blank = {"PatientID": ""}
    written(tmp_path, a_dcm=film("1", "1.2.1", 1, **blank), b_dcm=film("1", "1.2.1", 2, **blank))
    assert len(find_studies([tmp_path]).studies) == 1
    written(tmp_path, b_dcm=film("1", "1.2.1", 2, PatientBirthDate="19700102", **blank))
    assert "PatientName and PatientBirthDate" in reasons(find_studies([tmp_path]))["b.dcm"]
    written(tmp_path, b_dcm=film("1", "1.2.1", 2, PatientBirthDate="", PatientName="Anonymous", **blank))
    assert len(find_studies([tmp_path]).studies) == 1


@pytest.mark.parametrize(
    ("raw", "shown", "is_pair"),
    [
        ({"IrradiationEventUID": "1.9"}, {"IrradiationEventUID": "1.9"}, True),
        ({"IrradiationEventUID": "1.9"}, {"IrradiationEventUID": "1.8"}, False),
        ({"AcquisitionDateTime": "20260101"}, {"AcquisitionDateTime": "20260101"}, True),
        ({"AcquisitionTime": "1", "AcquisitionDate": "2"}, {"AcquisitionTime": "3", "AcquisitionDate": "2"}, False),
        ({}, {}, True),
        ({"ViewPosition": "LL"}, {}, False),
        ({}, {"SourceImageSequence": [{"ReferencedSOPInstanceUID": "1.2.1.1.1"}]}, True),
        ({}, {"SourceImageSequence": [{"ReferencedSOPInstanceUID": "1.2.1.1.7"}]}, False),
    ],
)
def test_of_a_raw_image_and_its_presentation_the_latter_is_kept(
    tmp_path: Path, raw: dict[str, object], shown: dict[str, object], is_pair: bool
) -> None:
    if "SourceImageSequence" in shown:
        source = pydicom.Dataset()
        source.ReferencedSOPInstanceUID = shown["SourceImageSequence"][0]["ReferencedSOPInstanceUID"]  # type: ignore[index]
        shown = {"SourceImageSequence": pydicom.Sequence([source])}
    written(
        tmp_path,
        raw_dcm=film("1", "1.2.1", 1, **{**FRONT, **raw}, PresentationIntentType="FOR PROCESSING"),
        shown_dcm=film("1", "1.2.1", 2, **FRONT, **shown, PresentationIntentType="FOR PRESENTATION"),
    )
    (study,) = find_studies([tmp_path]).studies
    if is_pair:
        assert names(study) == ["shown.dcm"]
        assert [each.reason for each in study.set_aside] == [
            f"for processing; the same exposure is described from {tmp_path}/shown.dcm, for presentation"
        ]
    else:
        assert names(study) == ["raw.dcm", "shown.dcm"]
        assert study.films[0].view.warning.startswith("for processing (raw)")
        assert not study.films[1].view.warning


def test_copies_are_left_out_and_a_folder_twice_is_described_once(tmp_path: Path) -> None:
    one = film("1", "1.2.1", 1)
    written(tmp_path, a_dcm=one, b_dcm=one, c_dcm=film("1", "1.2.1", 1, Rows=40, SeriesNumber=3), p__x_png=picture(1))
    shutil.copytree(tmp_path / "p", tmp_path / "q")
    found = find_studies([tmp_path])
    assert [names(study) for study in found.studies] == [["a.dcm"], ["x.png"]]
    assert {path.split("/")[-1]: why.split("/")[-1] for path, why in found.set_aside} == {
        "b.dcm": "a.dcm",
        "c.dcm": "a.dcm",
        "x.png": "x.png",
    }


def huge_header() -> bytes:
    """A PNG that claims 30,000 x 30,000 pixels."""
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000)))]
    whole = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(whole)


def test_each_kind_of_file_that_is_no_chest_film_has_its_reason(tmp_path: Path) -> None:
    region = pydicom.Dataset()
    region.CodeValue, region.CodingSchemeDesignator, region.CodeMeaning = "72696002", "SCT", "Knie"
    old = pydicom.Dataset()
    old.CodeValue, old.CodingSchemeDesignator, old.CodeMeaning = "T-D8700", "SRT", "main"
    sr = pydicom.dcmread(io.BytesIO(film("1", "1.2.1", 9)))
    del sr.PixelData
    no_pixels = io.BytesIO()
    sr.save_as(no_pixels)
    sr.Modality = "SR"
    text_report = io.BytesIO()
    sr.save_as(text_report)
    knee = {"AnatomicRegionSequence": pydicom.Sequence([region])}
    hand = {"AnatomicRegionSequence": pydicom.Sequence([old])}
    written(
        tmp_path,
        chest_dcm=film("1", "1.2.1", 1, BodyPartExamined="CHEST", SeriesDescription="PA arms up"),
        arms_dcm=film("1", "1.2.1", 2, SeriesDescription="PA arms up"),
        hand_dcm=film("1", "1.2.1", 3, BodyPartExamined="HAND"),
        series_dcm=film("1", "1.2.1", 4, SeriesDescription="Knee 2 views"),
        knee_dcm=film("1", "1.2.1", 5, **knee),
        main_dcm=film("1", "1.2.1", 6, **hand),
        ct_dcm=film("1", "1.2.1", 7, Modality="CT"),
        bare_dcm=no_pixels.getvalue(),
        sr_dcm=text_report.getvalue(),
        text_png=b"hello, I am not a picture",
        empty_png=b"",
        huge_png=huge_header(),
        wide_dcm=film("1", "1.2.1", 8, Rows=30_000, Columns=30_000),
        icon_dcm=film("1", "1.2.1", 9, Rows=31, Columns=40),
        dot_png=a_dot(),
    )
    found = find_studies([tmp_path])
    (study,) = found.studies
    assert names(study) == ["chest.dcm", "arms.dcm"]
    wanted = {
        "hand.dcm": "BodyPartExamined is HAND; only films of the chest are read",
        "series.dcm": "SeriesDescription is KNEE 2 VIEWS; only films of the chest are read",
        "knee.dcm": "AnatomicRegionSequence is KNEE; only films of the chest are read",
        "main.dcm": "AnatomicRegionSequence is HAND; only films of the chest are read",
        "ct.dcm": "Modality is CT; only radiographs (CR, DX, DR, RG) are read",
        "bare.dcm": "a DICOM file without pixels, or one that is cut off; leave it out, or copy it again",
        "sr.dcm": "Modality is SR; only radiographs (CR, DX, DR, RG) are read",
        "text.png": "cannot be decoded: whatever its name says, its content is no whole PNG, JPEG, JPEG2000, TIFF, BMP "
        "or DICOM file",
        "empty.png": "the file is empty",
        "huge.png": "more than the 64,000,000 pixels a film may have",
        "wide.dcm": "30000 x 30000 pixels, more than the 64,000,000 a film may have",
        "icon.dcm": "40 x 31 pixels; a film has at least 32 a side",
        "dot.png": "1 x 1 pixels; a film has at least 32 a side",
    }
    assert reasons(found) == wanted
    assert set(study.set_aside) == set(found.set_aside)  # all lie beside its films


def test_a_film_of_the_fewest_pixels_is_described_and_a_smaller_one_given_alone_is_an_error(tmp_path: Path) -> None:
    Image.new("L", (32, 32)).save(tmp_path / "small.png")
    (tmp_path / "dot.png").write_bytes(a_dot())
    (study,) = find_studies([tmp_path / "small.png"]).studies
    assert names(study) == ["small.png"]
    with pytest.raises(ReadError, match=r"1 x 1 pixels; a film has at least 32 a side$"):
        study_of([film_source(tmp_path / "dot.png", 1)])


def test_what_only_decoding_shows_is_set_aside_then(tmp_path: Path) -> None:
    written(tmp_path, a_png=picture(1), b_png=colour_picture(), c_png=picture(2)[:600])
    (study,) = find_studies([tmp_path]).studies
    decoded = decode_study(study)
    assert [Path(view.path).name for view in decoded.views] == ["a.png"]
    assert [(Path(path).name, why[:19]) for path, why in decoded.set_aside] == [
        ("b.png", "a picture in colour"),
        ("c.png", "cannot be decoded: "),
    ]
    assert decoded.inputs == study.fingerprint()
    (tmp_path / "a.png").unlink()
    with pytest.raises(ReadError, match=r"a\.png: no such file"):
        decode_study(study)


def test_a_folder_of_many_studies_pictures_is_no_study(tmp_path: Path) -> None:
    for number in range(MAX_FILMS + 1):
        written(tmp_path, **{f"p{number}_png": picture(number)})
    found = find_studies([tmp_path])
    assert (found.studies, found.studies_set_aside, len(found.set_aside)) == ([], 1, MAX_FILMS + 1)
    assert "give each study a folder of its own" in found.set_aside[0].reason
    (tmp_path / "p0.png").unlink()
    assert len(find_studies([tmp_path]).studies[0].films) == MAX_FILMS


def test_hidden_files_and_the_folder_of_results_are_not_films(tmp_path: Path) -> None:
    written(tmp_path, a_png=picture(1), out__study__panel_png=colour_picture())
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "b.png").write_bytes(picture(2))
    found = find_studies([tmp_path], skip=tmp_path / "out")
    assert ([names(study) for study in found.studies], found.set_aside) == ([["a.png"]], [])
    with pytest.raises(ReadError, match="gone: no such file"):
        find_studies([tmp_path / "gone"])


def test_the_key_of_a_study_tells_neither_uid_nor_name_and_stays_the_same(tmp_path: Path) -> None:
    written(tmp_path, DOE__JOHN_png=picture(1), b__x_dcm=film("1", "1.2.840.20260101.1", 1))
    keys = {study.identity.uid: study.identity for study in find_studies([tmp_path]).studies}
    assert keys["1.2.840.20260101.1"] == StudyIdentity(
        hashlib.sha256(b"1.2.840.20260101.1").hexdigest()[:16], "1.2.840.20260101.1"
    )
    os.rename(tmp_path / "DOE" / "JOHN.png", tmp_path / "b" / "other.png")
    again = {study.identity.uid: study.identity for study in find_studies([tmp_path]).studies}
    assert again == keys


def test_lateral_films_are_named_by_path_wildcard_or_number(tmp_path: Path) -> None:
    written(tmp_path, a__front_png=picture(1), a__side_png=picture(2), b__front_png=picture(3), b__side_png=picture(4))

    def projections(words: list[str], *paths: Path) -> list[list[str]]:
        return [[each.view.projection for each in study.films] for study in find_studies(paths, words).studies]

    both = [["frontal", "lateral"], ["frontal", "lateral"]]
    assert projections(["side.png"], tmp_path) == projections(["*/s?de.png"], tmp_path) == both
    assert projections([f"{tmp_path}/b/side.png"], tmp_path) == [["frontal", "frontal"], ["frontal", "lateral"]]
    assert projections(["1"], tmp_path / "a" / "side.png", tmp_path / "a" / "front.png") == [["lateral", "frontal"]]
    for word in ("gone.png", "3"):
        with pytest.raises(SettingsError, match=f"--lateral {re.escape(word)}: names none of the films"):
            projections([word, "side.png"], tmp_path / "a" / "side.png", tmp_path / "a" / "front.png")


def test_a_choice_goes_before_what_the_file_says_with_a_warning(tmp_path: Path) -> None:
    written(
        tmp_path, a_dcm=film("1", "1.2.1", 1, **FRONT), b_dcm=film("1", "1.2.1", 2), c_dcm=film("1", "1.2.1", 3, **SIDE)
    )
    (study,) = find_studies([tmp_path], ["*.dcm"]).studies
    assert [(each.view.projection, each.view.why, each.view.warning) for each in study.films] == [
        ("lateral", "named as lateral", "named as lateral, but ViewPosition is PA"),
        ("lateral", "named as lateral", ""),
        ("lateral", "PatientOrientation is P\\F", ""),
    ]
    (turned,) = find_studies([tmp_path], frontal=["c.dcm"]).studies
    view = turned.films[2].view
    assert (view.projection, view.why) == ("frontal", "named as frontal")
    assert view.warning.startswith(
        "named as frontal, but PatientOrientation is P\\F; PatientOrientation is P\\F, but a"
    )
    # A choice made later gives the same study, with the same fingerprint.
    (plain,) = find_studies([tmp_path]).studies
    later = plain.read_as({view.fingerprint: "frontal"})
    assert [each.view for each in later.films] == [each.view for each in turned.films]
    assert later.fingerprint() == turned.fingerprint() != plain.fingerprint()
    with pytest.raises(SettingsError, match=r"--lateral and --frontal both name .*c\.dcm; name it once"):
        find_studies([tmp_path], ["c.dcm"], frontal=["*.dcm"])
    with pytest.raises(SettingsError, match=r"--frontal d\.dcm: names none of the films"):
        find_studies([tmp_path], frontal=["d.dcm"])


def test_a_raw_image_whose_projection_is_chosen_keeps_its_warning(tmp_path: Path) -> None:
    tags = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1.1", "PresentationIntentType": "FOR PROCESSING"}
    written(tmp_path, a_dcm=film("1", "1.2.1", 1, **FRONT, **tags))
    (study,) = find_studies([tmp_path]).studies
    raw = study.films[0].view
    assert raw.warning.startswith("for processing (raw)")
    (chosen,) = study.read_as({raw.fingerprint: "lateral"}).films
    assert chosen.view.warning == f"named as lateral, but ViewPosition is PA; {raw.warning}"


def test_tags_that_make_no_sense_are_one_sentence(tmp_path: Path) -> None:
    tags = pydicom.dcmread(io.BytesIO(film("1", "1.2.1", 1)))
    tags[0x00082112] = pydicom.DataElement(0x00082112, "LO", "none")  # SourceImageSequence
    tags.save_as(tmp_path / "a.dcm")
    written(tmp_path, b_dcm=film("1", "1.2.1", 2))
    found = find_studies([tmp_path])
    assert [names(study) for study in found.studies] == [["b.dcm"]]
    assert "SourceImageSequence is none, expected a sequence" in reasons(found)["a.dcm"]


def test_monochrome_1_is_read_as_bright_bone(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 4095, 40, dtype=np.uint16), (40, 1))
    plain = film("1", "1.2.1", 1)
    tags = pydicom.dcmread(io.BytesIO(plain))
    tags.Rows, tags.Columns, tags.PixelData = 40, 40, ramp.tobytes()
    tags.PhotometricInterpretation, tags.PresentationLUTShape = "MONOCHROME1", "INVERSE"
    tags.save_as(tmp_path / "a.dcm")
    (study,) = find_studies([tmp_path]).studies
    shown = decode_study(study).pixels[0]
    assert shown[0, 0] == 255
    assert shown[0, -1] == 0


def test_real_films_are_found_where_they_are(samples: Path) -> None:
    found = find_studies([samples / "dicom"])
    assert sum(len(study.films) for study in found.studies) + len(found.set_aside) == 3
    assert len(found.studies) == 2
    for study in found.studies:
        assert all(each.view.projection == "frontal" for each in study.films)
        assert all(each.view.why == "ViewPosition is PA" for each in study.films)
        decoded = decode_study(study)
        assert all(min(each.shape) > 100 for each in decoded.pixels)
    pictures = find_studies([samples / "native_png"])
    assert len(pictures.studies) == 1
    assert len(pictures.studies[0].films) == 6
