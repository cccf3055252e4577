"""MIMIC-CXR's reports: finds their files, and takes a study's texts from one."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from ammrg.errors import DataError
from ammrg.text.blank import text_or_empty
from ammrg.text.sections import PARAGRAPH, labelled_section, sections

ARCHIVE = "mimic-cxr-reports.zip"
FOLDERS = ("mimic-cxr-reports/files", "mimic-cxr-reports", "reports/files", "reports", "files")
"""Folders where the tree ``p10/p10000032/s50414267.txt`` may begin; the first that exists is tried first."""
SPECIAL_CASES = Path(__file__).with_name("mimic_cxr_special_cases.json")


class Reports:
    """The reports of a raw folder: files in :data:`FOLDERS`, or members of :data:`ARCHIVE`, which is not unpacked."""

    def __init__(self, raw: Path) -> None:
        """Find the folders and open the archive, if there is one.

        Args:
            raw: folder of the raw data; without any report every text is None.

        Raises:
            DataError: the archive is not a zip file.
        """
        self.folders = tuple(folder for name in FOLDERS if (folder := raw / name).is_dir())
        self.path = raw / ARCHIVE
        self.archive: zipfile.ZipFile | None = None
        self.members: dict[str, str] = {}
        if self.path.is_file():
            try:
                self.archive = zipfile.ZipFile(self.path)
            except (zipfile.BadZipFile, OSError) as error:
                raise DataError(f"{self.path}: cannot be read as a zip file: {error}; download it again") from error
            # Its tree begins at files/ or one folder higher, so members are found by the last three names.
            self.members = {"/".join(name.split("/")[-3:]): name for name in self.archive.namelist()}

    def __enter__(self) -> Reports:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.archive is not None:
            self.archive.close()

    def text(self, subject_id: str, study_id: str) -> str | None:
        """A study's report with plain line feeds, or None if there is none.

        Raises:
            DataError: the report cannot be read, or is not UTF-8; the message names its file.
        """
        name = report_name(subject_id, study_id)
        for folder in self.folders:
            try:
                return decoded((folder / name).read_bytes(), str(folder / name))
            except FileNotFoundError:
                continue
        if self.archive is None or name not in self.members:
            return None
        member = self.members[name]
        try:
            return decoded(self.archive.read(member), f"{self.path}: {member}")
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise DataError(f"{self.path}: {member} cannot be read: {error}; download the archive again") from error


def report_name(subject_id: str, study_id: str) -> str:
    """Path of a study's report in the tree."""
    return f"p{subject_id[:2]}/p{subject_id}/s{study_id}.txt"


class Texts(NamedTuple):
    """The texts that a study takes from its report, with spaces for line breaks; empty where it has none."""

    findings: str = ""
    impression: str = ""
    indication: str = ""
    labelled: str = ""
    """Section that the official labels were made from, or ``special case``."""


def decoded(content: bytes, where: str) -> str:
    """A report's text with plain line feeds, which the character ranges of the special cases assume.

    Raises:
        DataError: the content is not UTF-8; the message starts with ``where``.
    """
    try:
        return content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{where} is not text in UTF-8: {error}; download it again") from error


@cache
def special_cases() -> Mapping[str, str | tuple[int, int]]:
    """Study id -> the section, or the characters [start, stop) of the report, that describes its films."""
    table = json.loads(SPECIAL_CASES.read_text(encoding="utf-8"))
    return {**table["sections"], **{study_id: tuple(span) for study_id, span in table["characters"].items()}}


def texts_of(report: str, study_id: str) -> Texts:
    """The texts of a report, by the rules of :mod:`ammrg.text.sections`.

    The indication is the first paragraph of that section, or of the history: text after a blank line without a heading
    already describes the films. The headings of a special case are unreliable. So the text that describes its films
    becomes its findings, and it gets neither impression nor indication, which might repeat the same words.
    """
    found = sections(report)
    case = special_cases().get(study_id)
    if case is not None:
        text = found.get(case, "") if isinstance(case, str) else report[slice(*case)]
        return Texts(findings=folded(text), labelled="special case")
    indication = found.get("indication") or found.get("history") or ""
    return Texts(
        findings=folded(found.get("findings", "")),
        impression=folded(found.get("impression", "")),
        indication=folded(indication.partition(PARAGRAPH)[0]),
        labelled=labelled_section(found),
    )


def folded(text: str) -> str:
    """The text on one line; empty if it says nothing."""
    return " ".join(text_or_empty(text).split())
