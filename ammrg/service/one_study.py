"""The one study of an upload: its films found, checked against the limits, and read."""

from __future__ import annotations

import mmap
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ammrg.errors import ReadError, SettingsError
from ammrg.imaging.attributes import whole
from ammrg.imaging.headers import open_image
from ammrg.imaging.reading import FORMATS, in_one_sentence, read_header
from ammrg.service.form import Upload, UploadedFile
from ammrg.service.limits import Limits, Refusal
from ammrg.studies.decoding import DecodedStudy, decode_study
from ammrg.studies.films import Film
from ammrg.studies.grouping import FoundStudies, studies_in
from ammrg.studies.records import SetAside
from ammrg.studies.sources import Source, close_archives, find_sources, is_one_by_one

ENTRY = b"PK\x01\x02"
"""Start of a file's entry in the table of contents of a zip archive (APPNOTE.TXT, 4.3.12)."""
SHOWN = 3
"""Most files that were set aside and are named in a refusal."""


def read_study(upload: Upload, limits: Limits, count: Callable[[Iterable[SetAside]], None]) -> DecodedStudy:
    """Read the films of an upload, which must be of one study.

    Args:
        upload: one or more films, or one zip archive.
        limits: of the service.
        count: called with what is set aside.

    Raises:
        Refusal: 413 beyond a limit; 422 where the films are of no study or of several, none can be read, or a word of
            ``lateral`` or ``frontal`` names none.
    """
    try:
        found = find_study(upload, limits, count)
        try:
            decoded = decode_study(found.studies[0], upload.indication)
        except ReadError as error:
            count(found.set_aside)
            raise Refusal(422, str(error)) from error
        count(dict.fromkeys([*found.set_aside, *decoded.set_aside]))
        return decoded
    finally:
        close_archives()


def find_study(upload: Upload, limits: Limits, count: Callable[[Iterable[SetAside]], None]) -> FoundStudies:
    """Find the study of an upload, whose films are then not decoded; its archive stays open.

    Arguments and errors are those of :func:`read_study`.

    Returns:
        One study, and what is set aside.
    """
    found = _found(upload, limits)
    if len(found.studies) != 1 or found.studies_set_aside:
        count(found.set_aside)
        raise _not_one(found)
    _check_pixels(found.studies[0].films, limits)
    return found


def _found(upload: Upload, limits: Limits) -> FoundStudies:
    paths = [file.path for file in upload.files]
    if not is_one_by_one(paths):
        if len(paths) > 1:
            raise Refusal(
                422, f"the upload is {len(paths)} files, and one is a zip archive; send films, or one archive"
            )
        _check_archive(upload.files[0], limits)
    sources = [each for file in upload.files for each in _sources(file)]
    try:
        return studies_in(sources, upload.lateral, upload.frontal)
    except SettingsError as error:
        raise Refusal(422, str(error).removeprefix("--")) from error


def _sources(file: UploadedFile) -> Iterable[Source | SetAside]:
    """Find the films of a file, under the names that the caller knows."""
    here = str(file.path)
    for each in find_sources([file.path]):
        named = file.name + each.path.removeprefix(here)
        if isinstance(each, SetAside):
            yield SetAside(named, each.reason)
        else:
            place = each.place and file.name + each.place.removeprefix(here)
            yield each._replace(path=named, place=place)


def _not_one(found: FoundStudies) -> Refusal:
    count = len(found.studies) + found.studies_set_aside
    if count > 1:
        return Refusal(422, f"the upload holds {count} studies; send each by itself")
    paths: dict[str, list[str]] = {}
    for each in found.set_aside[:SHOWN]:
        paths.setdefault(each.reason, []).append(each.path)
    reasons = "; ".join(f"{', '.join(named)}: {reason}" for reason, named in paths.items())
    more = f"; and {len(found.set_aside) - SHOWN} more" if len(found.set_aside) > SHOWN else ""
    return Refusal(422, f"the upload holds no chest film that can be read{reasons and f': {reasons}'}{more}")


def _check_archive(file: UploadedFile, limits: Limits) -> None:
    """Refuse an archive of too many files or bytes; one that cannot be opened is left to :func:`find_sources`."""
    too_many = Refusal(
        413, f"{file.name}: an archive of more than the {limits.files} files that are read", option="--files"
    )
    # Opening an archive reads its whole table of contents: so its entries are counted first.
    if _more_entries(file.path, 2 * limits.files):  # a folder is an entry too
        raise too_many
    try:
        with zipfile.ZipFile(file.path) as archive:
            files = [each for each in archive.infolist() if not each.is_dir()]
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        return
    if len(files) > limits.files:
        raise too_many
    # zipfile never unpacks more of a file than its entry says.
    if (total := sum(each.file_size for each in files)) > limits.unpacked_bytes:
        raise Refusal(
            413,
            f"{file.name}: {total:,} bytes once unpacked, more than the {limits.unpacked_bytes:,} that are read",
            option="--unpacked-mib",
        )


def _more_entries(path: Path, most: int) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = -1
        for _ in range(most + 1):
            at = data.find(ENTRY, at + 1)
            if at < 0:
                return False
        return True


def _check_pixels(films: Sequence[Film], limits: Limits) -> None:
    """Refuse films that have too many pixels together, as their headers say; nothing is decoded."""
    total = 0
    for film in films:
        name = film.view.path
        try:
            with in_one_sentence(name):
                data = film.source.read()
                tags = read_header(data, name)
                if tags is None:
                    with open_image(data, name, FORMATS) as image:
                        total += image.width * image.height
                else:
                    total += whole(tags, "Rows", 0) * whole(tags, "Columns", 0)
        except ReadError:
            continue  # decoding it will say why
    if total > limits.pixels:
        raise Refusal(
            413,
            f"the films have {total:,} pixels together, more than the {limits.pixels:,} that are read",
            option="--pixels",
        )
