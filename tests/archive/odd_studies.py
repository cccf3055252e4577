"""Fifty studies as an archive really has them: each of an oddity, with what must become of it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pydicom
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

from tests.dicom_studies import dicom_film, phantom_dicom, uids_of
from tests.documents.test_source_films import retagged

SIZE = 48
FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
STUDIES = 50


class OddStudy(NamedTuple):
    """One study in the archive."""

    oddity: str
    films: list[bytes]
    """All of its objects, in the order in which they arrive."""
    described: frozenset[str] = frozenset()
    """SOPInstanceUIDs of the films that its report is about; empty where it must be set aside."""
    reason: str = ""
    """Pattern of the reason why it is set aside."""

    @property
    def uid(self) -> str:
        return str(self._tags("StudyInstanceUID"))

    def _tags(self, keyword: str) -> object:
        return getattr(pydicom.dcmread(io.BytesIO(self.films[0]), stop_before_pixels=True), keyword, "")

    @property
    def patient(self) -> tuple[str, str]:
        """Id and name."""
        return str(self._tags("PatientID")), str(self._tags("PatientName"))


def described(oddity: str, films: list[bytes], about: Sequence[bytes] | None = None) -> OddStudy:
    return OddStudy(oddity, films, frozenset(uids_of(films if about is None else about)))


def with_views(index: int, count: int) -> Iterator[list[bytes]]:
    """Phantom studies with this number of films, from an index of their own on."""
    return (films for number in range(1000 * index, 1000 * index + 40) if len(films := phantom(number)) == count)


def phantom(index: int, **tags: object) -> list[bytes]:
    return phantom_dicom(index, size=SIZE, **tags)


def fresh(*names: object) -> str:
    return str(generate_uid(entropy_srcs=list(map(str, names))))


def ordinary(index: int) -> OddStudy:
    return described("ordinary", phantom(index))


def two_views(index: int) -> OddStudy:
    return described("two views", next(with_views(index, 2)))


def several_series(index: int) -> OddStudy:
    films = next(with_views(index, 2))
    own = [retagged(film, SeriesInstanceUID=fresh("series", index, n)) for n, film in enumerate(films)]
    return described("a series for each film", own)


def raw_beside_shown(index: int) -> OddStudy:
    film = retagged(phantom(index)[0], PresentationIntentType="FOR PRESENTATION")
    raw = retagged(
        film,
        PresentationIntentType="FOR PROCESSING",
        SOPClassUID=FOR_PROCESSING,
        SOPInstanceUID=fresh("raw", index),
        SeriesInstanceUID=fresh("raw series", index),
    )
    return described("raw beside presentation", [raw, film], [film])


def raw_alone(index: int) -> OddStudy:
    raw = retagged(phantom(index)[0], PresentationIntentType="FOR PROCESSING", SOPClassUID=FOR_PROCESSING)
    return described("raw alone", [raw])


def lateral_alone(index: int) -> OddStudy:
    return described("lateral alone", next(with_views(index, 2))[1:])


def no_projection(index: int) -> OddStudy:
    return described("nothing names the view", [retagged(phantom(index)[0], ["ViewPosition", "PatientOrientation"])])


NAMES = (
    ("ISO_IR 192", "Wang^XiaoDong=王^小东"),
    (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
    ("ISO_IR 144", "Люксембург^Роза"),
    ("GB18030", "Zhang^San=张^三"),
    ("ISO_IR 126", "Διονύσιος^Σ"),
)


def other_letters(index: int) -> OddStudy:
    encoding, name = NAMES[index % len(NAMES)]
    film = retagged(phantom(index)[0], SpecificCharacterSet=encoding, PatientName=name, StudyDescription=name[:8])
    return described("other characters", [film])


def compressed(index: int) -> OddStudy:
    return described("JPEG 2000", phantom(index, compress=True))


def inverted(index: int) -> OddStudy:
    return described("MONOCHROME1", [retagged(phantom(index)[0], PhotometricInterpretation="MONOCHROME1")])


def nameless(index: int) -> OddStudy:
    film = retagged(phantom(index)[0], PatientID="", PatientName="", PatientBirthDate="")
    return described("no patient named", [film])


def same_patient_again(index: int) -> OddStudy:
    return described("a patient's other study", phantom(index, PatientID="P-TWICE", PatientName="Twice^Here"))


def namesake(index: int) -> OddStudy:
    return described("the same name, another patient", phantom(index, PatientName="Same^Name"))


def chest_and_hand(index: int) -> OddStudy:
    film = phantom(index)[0]
    series, sop = fresh("hand series", index), fresh("hand", index)
    hand = retagged(film, BodyPartExamined="HAND", SOPInstanceUID=sop, SeriesInstanceUID=series)
    return described("a hand beside the chest", [hand, film], [film])


def with_strangers(index: int) -> OddStudy:
    """With a secondary capture of somebody else's program, which is no film."""
    film = phantom(index)[0]
    other = retagged(
        film,
        Modality="OT",
        SOPClassUID=SecondaryCaptureImageStorage,
        SOPInstanceUID=fresh("capture", index),
        SeriesInstanceUID=fresh("capture series", index),
        Manufacturer="Somebody",
    )
    return described("another program's picture", [other, film], [film])


def resent(index: int) -> OddStudy:
    film = phantom(index)[0]
    changed = retagged(film, SeriesDescription="sent again", PatientName="Changed^Name")
    return described("sent twice", [film, changed, film], [film])


def no_chest(index: int) -> OddStudy:
    return OddStudy("no chest", phantom(index, BodyPartExamined="HAND"), reason="HAND.*only films of the chest")


def no_pixels(index: int) -> OddStudy:
    return OddStudy("no pixels", [retagged(phantom(index)[0], ["PixelData"])], reason="without pixels")


def damaged(index: int) -> OddStudy:
    film = phantom(index, compress=True)[0]
    start = film.index(b"\xff\x4f\xff\x51") + 60  # of the pixels; the tags stay whole
    return OddStudy(
        "damaged", [film[:start].ljust(len(film) - 8, b"\0") + film[-8:]], reason="cannot be decoded|pixels"
    )


def two_patients(index: int) -> OddStudy:
    """Their ids differ in two series of one study, as after a wrong merge."""
    film = phantom(index)[0]
    other = retagged(film, PatientID="P-OTHER", SOPInstanceUID=fresh("other", index), SeriesInstanceUID=fresh(index))
    return OddStudy("two patients", [film, other], reason="two patients")


def in_colour(index: int) -> OddStudy:
    film = retagged(phantom(index)[0], PhotometricInterpretation="RGB", SamplesPerPixel=3, PlanarConfiguration=0)
    tags = pydicom.dcmread(io.BytesIO(film))
    tags.PixelData = bytes(SIZE * SIZE * 3)
    file = io.BytesIO()
    pydicom.dcmwrite(file, tags, enforce_file_format=True)
    return OddStudy("colour", [file.getvalue()], reason="PhotometricInterpretation is RGB")


def a_thumbnail(index: int) -> OddStudy:
    tags = pydicom.dcmread(io.BytesIO(phantom(index)[0]), stop_before_pixels=True)
    named = {each.keyword: each.value for each in tags if each.keyword.startswith(("Patient", "Study", "S"))}
    kept = {name: value for name, value in named.items() if name not in ("SamplesPerPixel", "SpecificCharacterSet")}
    film = dicom_film(np.arange(64, dtype=np.uint8).reshape(8, 8), {**kept, "InstanceNumber": 1})
    return OddStudy("a thumbnail", [film], reason="8 x 8 pixels; a film has at least 32 a side")


ODDITIES: tuple[Callable[[int], OddStudy], ...] = (
    *(ordinary, two_views, several_series, raw_beside_shown, raw_alone, lateral_alone, no_projection, other_letters),
    *(compressed, inverted, nameless, same_patient_again, namesake, chest_and_hand, with_strangers, resent),
    *(no_chest, no_pixels, damaged, two_patients, in_colour, a_thumbnail),
)


def odd_studies() -> list[OddStudy]:
    """All of them: every oddity at least twice."""
    return [ODDITIES[number % len(ODDITIES)](number) for number in range(STUDIES)]
