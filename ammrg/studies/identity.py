"""Whether two films can be of one patient, and two images of one exposure. Only equality is kept, never a name."""

from __future__ import annotations

import hashlib
import os
from typing import Any, NamedTuple

from ammrg.imaging.attributes import items, value_of

PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
"""Digital X-Ray Image Storage - For Processing."""
_SALT = os.urandom(16)


class Patient(NamedTuple):
    """A patient's identifiers as hashes that mean nothing outside this process; empty = not known."""

    number: str
    """Of PatientID."""
    issuer: str
    """Of IssuerOfPatientID."""
    person: str
    """Of name and birth date; empty unless both are there."""

    @classmethod
    def of(cls, tags: Any) -> Patient:
        """Read a pydicom ``Dataset``."""
        name = plain(tags, "PatientName").upper().rstrip("^")
        born = plain(tags, "PatientBirthDate")
        number, issuer = (plain(tags, keyword) for keyword in ("PatientID", "IssuerOfPatientID"))
        return cls(_hashed(number), _hashed(issuer), _hashed(f"{name}|{born}" if name and born else ""))

    def differs_from(self, other: Patient) -> str | None:
        """Return the attribute that says that these are two patients; None: nothing does."""
        if self.number and other.number:
            if self.number != other.number:
                return "PatientID"
            return "IssuerOfPatientID" if self.issuer and other.issuer and self.issuer != other.issuer else None
        different = self.person and other.person and self.person != other.person
        return "PatientName and PatientBirthDate" if different else None


class Exposure(NamedTuple):
    """What tells which exposure an image is of, and for which use."""

    for_processing: bool
    """Whether it is raw: PresentationIntentType is FOR PROCESSING."""
    event: str
    """IrradiationEventUID; empty = not known."""
    moment: str
    """AcquisitionDateTime, or AcquisitionDate and AcquisitionTime; empty = not known."""
    made_of: frozenset[str]
    """SOPInstanceUIDs of the images that it was made of (SourceImageSequence)."""

    @classmethod
    def of(cls, tags: Any) -> Exposure:
        """Read a pydicom ``Dataset``."""
        intent = plain(tags, "PresentationIntentType").upper()
        moment = plain(tags, "AcquisitionDateTime")
        day, time = (plain(tags, keyword) for keyword in ("AcquisitionDate", "AcquisitionTime"))
        return cls(
            for_processing=intent == "FOR PROCESSING" or (not intent and plain(tags, "SOPClassUID") == PROCESSING),
            event=plain(tags, "IrradiationEventUID"),
            moment=moment or (day + time if day and time else ""),
            made_of=frozenset(plain(item, "ReferencedSOPInstanceUID") for item in items(tags, "SourceImageSequence")),
        )


def same_exposure(
    raw: Exposure, shown: Exposure, raw_instance: str, raw_projection: str, shown_projection: str
) -> bool:
    """Tell whether a raw image and one for presentation are of the same exposure.

    The source of the latter decides; else their irradiation event; else the moment of acquisition; and where the files
    say none of these, the same projection.
    """
    if shown.made_of:
        return raw_instance in shown.made_of
    if raw.event and shown.event:
        return raw.event == shown.event
    if raw.moment and shown.moment:
        return raw.moment == shown.moment
    return raw_projection == shown_projection


def plain(tags: Any, keyword: str) -> str:
    """Return the whole value of an attribute as text without the space around it; empty where there is none."""
    value = value_of(tags, keyword)
    return "" if value is None else str(value).strip(" \0")


def _hashed(value: str) -> str:
    return hashlib.blake2b(value.encode(), key=_SALT, digest_size=16).hexdigest() if value else ""
