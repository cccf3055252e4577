"""The requests that are made to an archive: QIDO-RS, WADO-RS and STOW-RS. No message names a study or patient."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pydicom
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from requests.adapters import HTTPAdapter

from ammrg.archive.address import TOKEN
from ammrg.documents.quiet import quiet_libraries
from ammrg.documents.statement import SERIES
from ammrg.errors import ArchiveError
from ammrg.fingerprints import json_fingerprint

MODALITIES = ("CR", "DX")
"""Computed and digital radiography."""
PAGE = 100
"""Studies asked for at a time."""
TIMEOUT = (10.0, 120.0)
"""Seconds to connect, and between two packets."""
DICOM_JSON = "application/dicom+json"
STUDY, SERIES_UID, SOP_CLASS, SOP, MODALITY, DESCRIPTION, COUNT, MODALITIES_TAG = (
    *("0020000D", "0020000E", "00080016", "00080018", "00080060", "0008103E", "00201208", "00080061"),
)
"""Tags of the answers, as DICOM JSON names them."""
Answer = TypeVar("Answer")
Row = dict[str, dict[Any, Any]]
"""An answer in DICOM JSON."""


NAMED = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber"),
    *("StudyID", "StudyDescription", "ReferringPhysicianName"),
)
"""What a list of studies says of a study, and our documents repeat."""
NAMED_TAGS = tuple(f"{tag_for_keyword(keyword):08X}" for keyword in NAMED)
FIELDS = [COUNT, MODALITIES_TAG, *NAMED_TAGS]
"""What is asked for of each study; much of it is listed unasked."""


class ListedStudy(NamedTuple):
    """A study in the archive's list."""

    uid: str
    instances: int | None
    """Number of its instances; None where the archive does not say."""
    named: str
    """Fingerprint of its patient's and its own tags as they are listed (:data:`NAMED`)."""


class Instance(NamedTuple):
    """An instance in the archive."""

    study: str
    series: str
    sop: str
    sop_class: str = ""


class Contents(NamedTuple):
    """What a study holds, as far as it matters here."""

    films: tuple[Instance, ...]
    """Radiographs, sorted by SOPInstanceUID."""
    reports: tuple[Instance, ...]
    """Structured reports of this program."""


class Archive:
    """A DICOMweb service.

    Redirects are not followed: films are only asked for, and documents only sent to, the address that was named. Nor
    are proxies or passwords taken from the environment.
    """

    def __init__(self, address: str, authorization: str | None = None, ca: Path | None = None) -> None:
        """Prepare the client; nothing is sent.

        Args:
            address: see :func:`ammrg.archive.address.checked_address`.
            authorization: content of the Authorization header.
            ca: certificates of the authorities to trust (PEM); default: those of the package certifi.
        """
        session = requests.Session()
        session.trust_env = False
        session.max_redirects = 0
        for scheme in ("http://", "https://"):
            session.mount(scheme, _OneMediaType())
        if ca is not None:
            session.verify = str(ca)
        headers = {} if authorization is None else {"Authorization": authorization}
        self._address = address
        self._of_token = (
            f"no token was sent, set --token-file or {TOKEN}"
            if authorization is None
            else f"it does not take the token that was sent ({authorization.split()[0]} ...), "
            f"check --token-file or {TOKEN}"
        )
        self._client = DICOMwebClient(address, session=session, headers=headers, timeout=TIMEOUT, permissive_uid=True)
        # A repeated request is the loop's business: the client would send an empty body the second time.
        self._client.set_http_retry_params(retry=False)

    def check(self) -> None:
        """Ask for one study, so that a wrong address or token is known at once.

        Raises:
            ArchiveError: the archive did not answer, or refused to.
        """
        self._ask("list studies", partial(self._client.search_for_studies, limit=1))

    def studies(self, since: str) -> Iterator[ListedStudy]:
        """List the studies with radiographs from a date on, each once.

        ModalitiesInStudy is read from the answers: asked for it, Orthanc 1.10.1 lists only one of two patients whose
        films have the same StudyInstanceUID. The number of instances of a study that is listed twice is unknown, so
        that its films are listed too.

        Args:
            since: YYYYMMDD.

        Raises:
            ArchiveError: the archive did not answer.
        """
        return self._listed({"StudyDate": f"{since}-"})

    def study(self, uid: str) -> ListedStudy | None:
        """Return one study of the list, whatever its date; None: the archive has none of this UID with radiographs.

        Raises:
            ArchiveError: the archive did not answer.
        """
        return next((study for study in self._listed({"StudyInstanceUID": uid}) if study.uid == uid), None)

    def _listed(self, filters: dict[str, str]) -> Iterator[ListedStudy]:
        rows: dict[str, list[Row]] = {}
        for row in self._rows(filters):
            if uid := _value(row, STUDY):
                rows.setdefault(uid, []).append(row)
        for uid, found in rows.items():
            if any(map(_may_have_radiographs, found)):
                count = _value(found[0], COUNT)
                named = sorted([_values(row, tag) for tag in NAMED_TAGS] for row in found)
                known = count.isdecimal() and len(found) == 1
                yield ListedStudy(uid, int(count) if known else None, json_fingerprint(named))

    def _rows(self, filters: dict[str, str]) -> Iterator[Row]:
        """The rows of the archive's list of studies, page after page; a page without a new study is the last."""
        seen: set[str] = set()
        page: list[Row] = []
        start = 0
        while True:
            search = partial(self._client.search_for_studies, limit=PAGE, offset=start, fields=FIELDS)
            before, page = page, self._ask("list studies", partial(search, search_filters=filters))
            if page == before:  # the end, or an archive that does not turn pages
                return
            yield from page
            listed = {_value(row, STUDY) for row in page}
            if listed <= seen:
                return
            seen |= listed
            start += len(page)

    def contents(self, study: str) -> Contents:
        """List a study's films and our own reports in it.

        Raises:
            ArchiveError: the archive did not answer.
        """
        films: list[Instance] = []
        reports: list[Instance] = []
        series = self._ask("list series", lambda: self._client.search_for_series(study, fields=[MODALITY, DESCRIPTION]))
        for found in series:
            modality, uid = _value(found, MODALITY), _value(found, SERIES_UID)
            if modality in MODALITIES:
                films += self._instances(study, uid)
            elif modality == "SR" and _value(found, DESCRIPTION).startswith(SERIES):
                reports += self._instances(study, uid)
        return Contents(tuple(sorted(films, key=lambda film: film.sop)), tuple(reports))

    def fetch(self, instance: Instance) -> bytes:
        """Fetch an instance in the transfer syntax in which it is stored.

        Raises:
            ArchiveError: the archive did not answer.
            Exception: of many types, where what it sent is no DICOM file.
        """
        # Any transfer syntax: archives that cannot decode JPEG 2000 refuse the default one.
        found = self._ask(
            "fetch a film",
            lambda: self._client.retrieve_instance(
                instance.study, instance.series, instance.sop, media_types=(("application/dicom", "*"),)
            ),
        )
        if str(found.get("StudyInstanceUID")) != instance.study:
            raise ValueError("the archive sent a film of another study")
        file = io.BytesIO()
        with quiet_libraries():
            pydicom.dcmwrite(file, found, enforce_file_format=True)
        return file.getvalue()

    def holds(self, instance: Instance) -> bool:
        """Tell whether the archive has an instance.

        Raises:
            ArchiveError: the archive did not answer.
        """
        search = partial(self._client.search_for_instances, instance.study, instance.series)
        absent: list[dict[str, dict[Any, Any]]] = []
        asked = partial(search, search_filters={"SOPInstanceUID": instance.sop})
        found = self._ask("look for a document", asked, absent)
        return any(_value(each, SOP) == instance.sop for each in found)

    def store(self, document: Dataset) -> None:
        """Store a document.

        Raises:
            ArchiveError: the archive did not answer, or refused it.
        """
        answer = self._ask("store a document", lambda: self._client.store_instances([document]))
        for failed in answer.get("FailedSOPSequence") or []:
            raise ArchiveError(f"the archive refused to store a document (reason {failed.get('FailureReason')})")

    def _instances(self, study: str, series: str) -> list[Instance]:
        listed = self._ask(
            "list instances", lambda: self._client.search_for_instances(study, series, fields=[SOP_CLASS])
        )
        return [Instance(study, series, _value(each, SOP), _value(each, SOP_CLASS)) for each in listed]

    def _ask(self, what: str, request: Callable[[], Answer], absent: Answer | None = None) -> Answer:
        """Make a request.

        Args:
            what: the request in words, for the message.
            request: makes it.
            absent: the answer where the archive says "not found"; None: that is an error too.
        """
        try:
            with quiet_libraries():
                return request()
        except requests.HTTPError as error:
            status = "?" if error.response is None else error.response.status_code
            if status == 404 and absent is not None:
                return absent
            advice = f" (status {status})"
            if status in (401, 403):
                advice += f"; {self._of_token}"
            elif status in (400, 404):
                advice += "; is --dicomweb its DICOMweb service, such as http://localhost:8042/dicom-web?"
            raise ArchiveError(f"the archive refused to {what}{advice}") from None
        except requests.exceptions.SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" not in str(error):
                raise ArchiveError(
                    f"the archive at {self._address} did not answer in TLS when asked to {what}; does it speak plain "
                    "http?"
                ) from None
            raise ArchiveError(
                f"the archive's certificate is not trusted, so it was not asked to {what}; name its authority with --ca"
            ) from None
        except requests.RequestException as error:
            raise ArchiveError(
                f"the archive did not answer when asked to {what}; does it run at {self._address}? "
                f"({type(error).__name__})"
            ) from None


class _OneMediaType(HTTPAdapter):  # type: ignore[misc]  # requests has no types
    """Asks for DICOM JSON alone: of two media types in one header, Orthanc warns in its log at each request."""

    def add_headers(self, request: requests.PreparedRequest, **_: object) -> None:
        if request.headers.get("Accept", "").startswith(f"{DICOM_JSON},"):
            request.headers["Accept"] = DICOM_JSON


def _may_have_radiographs(row: Mapping[str, Any]) -> bool:
    """Whether a study's row names them among its modalities, or names none."""
    held = set(_values(row, MODALITIES_TAG))
    return held == {""} or not held.isdisjoint(MODALITIES)


def _value(found: Mapping[str, Any], tag: str) -> str:
    """Read a value of an answer in DICOM JSON; empty where it is absent."""
    return _values(found, tag)[0]


def _values(found: Mapping[str, Any], tag: str) -> list[str]:
    """Read all values of an answer in DICOM JSON; an empty one where it is absent."""
    values: Sequence[Any] = found.get(tag, {}).get("Value") or [""]
    return list(map(str, values))
