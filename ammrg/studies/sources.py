"""Where the bytes of a film are: a file, a member of a zip archive, or memory.

Archives are read member by member and never unpacked to disk, so no name in one can lead anywhere.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ammrg.errors import ReadError
from ammrg.imaging.headers import MAX_BYTES
from ammrg.imaging.reading import contents
from ammrg.studies.records import SetAside
from ammrg.zip_files import is_zip

MAX_MEMBERS = 10_000
"""Most members of an archive."""
MAX_UNPACKED = 16 * 2**30
"""Most bytes of all members of an archive together, once unpacked."""
NAMED = ""
"""The place of films that were named one by one, or given in memory."""


class Source(NamedTuple):
    """The bytes of one film, read when they are asked for."""

    path: str
    """For messages and records: the path of a file, ``ARCHIVE.zip/MEMBER``, or ``film N``."""
    place: str
    """The folder that it was found in, also within an archive; :data:`NAMED` where it was named itself."""
    where: Path | bytes
    """Its file, its archive, or the bytes themselves."""
    member: str | None = None
    """Its name in the archive."""

    def read(self) -> bytes:
        """Return all of its bytes.

        Raises:
            ReadError: they cannot be read, or are more than a film may have.
        """
        if isinstance(self.where, bytes):
            return self.where
        if self.member is None:
            return contents(self.where, self.path)
        status = self.where.stat()
        archive = _opened(self.where, status.st_mtime_ns, status.st_size)
        if archive.getinfo(self.member).file_size > MAX_BYTES:
            raise ReadError(f"{self.path}: more bytes than the {MAX_BYTES:,} a film may have")
        try:
            return archive.read(self.member)
        except Exception as error:  # zipfile raises many types on damaged, encrypted and oddly packed members
            raise ReadError(f"{self.path}: cannot be unpacked: {error}") from error

    def in_memory(self) -> Source:
        """Return the same source with its bytes in memory.

        Raises:
            ReadError: see :meth:`read`.
        """
        return self._replace(where=self.read(), member=None)


def find_sources(paths: Sequence[Path], skip: Path | None = None) -> Iterator[Source | SetAside]:
    """Find the films in files, folders and archives, in an order that depends on their names alone.

    Folders are searched with all folders in them; hidden files and links to folders are not followed.

    Args:
        paths: files, folders and zip archives.
        skip: a folder that is not searched, because results are written there.

    Yields:
        A source for each file, whatever it holds; an archive that is damaged or too large is set aside.

    Raises:
        ReadError: a path does not exist.
    """
    for path in paths:
        if not path.exists():
            raise ReadError(f"{path}: no such file")
        if path.is_dir():
            for file in _files_below(path, skip):
                yield from _of_file(file, str(file.parent))
        else:
            yield from _of_file(path, NAMED)


def is_one_by_one(paths: Iterable[Path]) -> bool:
    """Tell whether all paths are films, not folders or archives."""
    return not any(path.is_dir() or _is_archive(path) for path in paths)


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """A key that sorts names by the numbers in them: ``film 2`` before ``film 10``."""
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name))


def _files_below(folder: Path, skip: Path | None) -> Iterator[Path]:
    unwanted = None if skip is None else skip.resolve()
    for here, folders, files in os.walk(folder):
        kept = [name for name in folders if not name.startswith(".") and (Path(here) / name).resolve() != unwanted]
        folders[:] = sorted(kept, key=natural)
        for name in sorted(files, key=natural):
            if not name.startswith("."):
                yield Path(here) / name


def _of_file(path: Path, place: str) -> Iterator[Source | SetAside]:
    if not _is_archive(path):
        yield Source(str(path), place, path)
        return
    try:
        status = path.stat()
        members = [each for each in _opened(path, status.st_mtime_ns, status.st_size).infolist() if not each.is_dir()]
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        yield SetAside(str(path), f"cannot be opened as a zip archive: {error}")
        return
    total = sum(each.file_size for each in members)
    if len(members) > MAX_MEMBERS or total > MAX_UNPACKED:
        yield SetAside(
            str(path),
            f"an archive of {len(members):,} files and {total:,} bytes, more than the {MAX_MEMBERS:,} files or "
            f"{MAX_UNPACKED:,} bytes that are read; unpack it and name the folder",
        )
        return
    for name in sorted({each.filename for each in members}, key=natural):
        inner = PurePosixPath(name.replace("\\", "/"))
        if inner.name.startswith(".") or inner.parts[0] == "__MACOSX":
            continue
        shown = f"{path}/{name}"
        if inner.is_absolute() or ".." in inner.parts:
            yield SetAside(shown, "its name leads out of the archive")
        else:
            yield Source(shown, str(path / inner.parent), path, name)


def _is_archive(path: Path) -> bool:
    """Tell a zip archive by its first bytes."""
    try:
        return path.is_file() and is_zip(path)
    except OSError:
        return False  # reading it will say why


def close_archives() -> None:
    """Close the archive that stays open, so that nothing is left of it once its file is removed."""
    _opened.cache_clear()


@lru_cache(maxsize=1)
def _opened(path: Path, changed: int, size: int) -> zipfile.ZipFile:
    """Open an archive; the last one stays open, because its table of contents may take long to read."""
    return zipfile.ZipFile(path)
