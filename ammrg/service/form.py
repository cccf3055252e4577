"""An upload (multipart/form-data, RFC 7578) read piece by piece into files of a folder, within the limits.

Files are numbered on disk. The names in an upload are only shown, so no name in one can lead anywhere.
"""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from ammrg.errors import SettingsError
from ammrg.operating_points import BALANCED, operating_point
from ammrg.service.limits import Limits, Refusal

FILES, INDICATION, SETTING = "files", "indication", "operating_point"
LATERAL, FRONTAL = "lateral", "frontal"
KIND = "multipart/form-data"
MOST_SHOWN = 40
"""Letters of an unknown field's name that a refusal repeats."""


class UploadedFile(NamedTuple):
    """A file of an upload."""

    name: str
    """As the caller named it, without folders; ``film N`` where it has no name."""
    path: Path


class Upload(NamedTuple):
    """What a request holds."""

    files: list[UploadedFile]
    lateral: list[str]
    """Names, or numbers from 1, of lateral films."""
    indication: str
    operating_point: float = BALANCED
    """See :mod:`ammrg.operating_points`."""
    frontal: Sequence[str] = ()
    """The same as ``lateral``, of frontal films."""


async def read_upload(
    content_type: str, length: str, chunks: AsyncIterator[bytes], folder: Path, limits: Limits
) -> Upload:
    """Read a request's body.

    Args:
        content_type: of the request.
        length: its Content-Length; empty where it has none.
        chunks: of its body; at most ``limits.upload_bytes`` of them are read.
        folder: empty, for its files.
        limits: of the service.

    Raises:
        Refusal: 415 for another type of content, 413 beyond a limit, 422 for no file, an unknown field or operating
            point, 400 for a body that is not multipart.
    """
    kind, options = parse_options_header(content_type)
    if kind != KIND.encode():
        raise Refusal(
            415, f"the request must be {KIND} with one or more {FILES}, such as curl -F {FILES}=@film.dcm sends"
        )
    if not (boundary := options.get(b"boundary")):
        raise Refusal(400, f"the Content-Type {KIND} names no boundary")
    if length.isdecimal() and int(length) > limits.upload_bytes:
        raise _too_long(limits)
    with _Form(folder, limits) as form:
        try:
            parser = form.parser(boundary)
            received = 0
            async for chunk in chunks:
                received += len(chunk)
                if received > limits.upload_bytes:
                    raise _too_long(limits)
                parser.write(chunk)
            parser.finalize()
        except FormParserError as error:
            raise Refusal(400, f"the body is not {KIND}: it cannot be taken apart at its boundary") from error
        return form.upload()


def _too_long(limits: Limits) -> Refusal:
    return Refusal(
        413, f"the upload has more than the {limits.upload_bytes:,} bytes that are read", option="--upload-mib"
    )


class _Form:
    """The parts of an upload, as the parser finds them.

    Args:
        folder: for files.
        limits: of the service.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder, self.limits = folder, limits
        self.files: list[UploadedFile] = []
        self.texts: list[tuple[str, str]] = []
        self.room = limits.text_bytes
        self.ended = False
        self.file: BinaryIO | None = None
        self._header, self._value, self._disposition, self._field, self._text = b"", b"", b"", "", b""

    def __enter__(self) -> _Form:
        return self

    def __exit__(self, *error: object) -> None:
        if self.file is not None:
            self.file.close()

    def parser(self, boundary: bytes) -> MultipartParser:
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_end": self._all,
            },
        )

    def upload(self) -> Upload:
        if not self.ended:
            raise Refusal(400, f"the body is not whole {KIND}: its last boundary is missing")
        if not self.files:
            raise Refusal(
                422, f"the upload has no file; send the films of one study, or a zip archive of them, as {FILES}"
            )
        lateral, frontal = (
            [text for field, text in self.texts if field == kind and text] for kind in (LATERAL, FRONTAL)
        )
        try:
            setting = operating_point(self._single(SETTING) or BALANCED)
        except SettingsError as error:
            raise Refusal(422, str(error)) from None
        return Upload(self.files, lateral, self._single(INDICATION), setting, frontal)

    def _single(self, field: str) -> str:
        """Return the text of a field that an upload has at most once; empty where it has none."""
        given = [text for name, text in self.texts if name == field]
        if len(given) > 1:
            raise Refusal(422, f"{field} is given {len(given)} times; a study has one")
        return "".join(given)

    def _begin(self) -> None:
        self._header, self._value, self._disposition, self._text = b"", b"", b"", b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header, self._value = b"", b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._field = _decoded(options.get(b"name", b""))
        self._spend(len(self._disposition))
        if self._field not in (FILES, LATERAL, FRONTAL, INDICATION, SETTING):
            raise Refusal(
                422,
                f"unknown field {self._field[:MOST_SHOWN]!r}; send films as {FILES} (curl -F {FILES}=@film.dcm); an "
                f"upload may also have {LATERAL}, {FRONTAL}, {INDICATION} and {SETTING}",
            )
        named = options.get(b"filename")
        if self._field != FILES:
            if named is not None:
                raise Refusal(422, f"{self._field} is a text, but a file was sent")
            return
        if len(self.files) == self.limits.files:
            raise Refusal(
                413, f"the upload has more than the {self.limits.files} files that are read", option="--files"
            )
        number = len(self.files) + 1
        name = PurePosixPath(_decoded(named or b"").replace("\\", "/")).name
        self.files.append(UploadedFile(name or f"film {number}", self.folder / str(number)))
        self.file = self.files[-1].path.open("wb")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self.file is not None:
            self.file.write(data[start:end])
        else:
            self._spend(end - start)
            self._text += data[start:end]

    def _end(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None
            return
        try:
            self.texts.append((self._field, self._text.decode("utf-8")))
        except UnicodeDecodeError:
            raise Refusal(422, f"{self._field} is not UTF-8 text") from None

    def _all(self) -> None:
        self.ended = True

    def _spend(self, size: int) -> None:
        self.room -= size
        if self.room < 0:
            raise Refusal(
                413, f"the upload's texts and names have more than the {self.limits.text_bytes:,} bytes that are read"
            )


def _decoded(name: bytes) -> str:
    """Decode a name; bytes that are not UTF-8 are replaced, because it is only shown and compared."""
    return codecs.decode(name, "utf-8", "replace")
