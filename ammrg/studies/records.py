"""What is known of a study and its films before a model sees them. No record names a patient."""

from __future__ import annotations

from typing import Any, NamedTuple


class DicomReference(NamedTuple):
    """How other DICOM objects refer to the image that a film is (PS3.3, 10.3)."""

    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    frame: int = 1
    """The first frame is 1; films have one."""


class StudyIdentity(NamedTuple):
    """A study's own names, none of which comes from its patient."""

    key: str
    """16 hex digits: the hash of the StudyInstanceUID, or of the films' bytes where there is none."""
    uid: str | None
    """StudyInstanceUID; None for films that are not DICOM."""


class StudyView(NamedTuple):
    """One film of a study."""

    path: str
    """Its path as it was given or found, ``ARCHIVE.zip/MEMBER`` in an archive, ``film N`` where it came from memory."""
    projection: str
    """``frontal``, ``lateral`` or ``unknown``."""
    why: str
    """What says so, for example ``ViewPosition is PA``."""
    fingerprint: str
    """Of the film's bytes, see :func:`ammrg.fingerprints.bytes_fingerprint`."""
    dicom: DicomReference | None = None
    """None for a film that is not DICOM."""
    sides: tuple[str, str] | None = None
    """What lies at the left and the right edge of the film: ``("R", "L")`` as usual for a frontal film; None = not
    known."""
    warning: str = ""
    """What about the film may mislead the reader of the report, without its name or a full stop; empty: nothing."""
    is_read: bool = True
    """Whether the network read it: one that reads frontal films only leaves out the others."""

    def as_json(self) -> dict[str, Any]:
        """Return the part that report.json holds."""
        dicom = None if self.dicom is None else self.dicom._asdict()
        return {**self._asdict(), "dicom": dicom, "sides": self.sides and list(self.sides)}


class SetAside(NamedTuple):
    """A film or file that is not described, and why."""

    path: str
    reason: str
    """One sentence."""
