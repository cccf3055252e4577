"""MIMIC-CXR's reports: where their files lie, and the texts that a study takes from one."""

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
"""Where the tree ``p10/p10000032/s50414267.txt`` may begin, the first that is there first."""
SPECIAL_CASES = Path(__file__).with_name("mimic_cxr_special_cases.json")


class Reports:
    """The reports below a raw folder: files in :data:`FOLDERS`, or members of :data:`ARCHIVE`, which stays packed."""

    def __init__(self, raw: Path) -> None:
        """
        Args:
            raw: the raw data set; without any report every text is None.

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
            # Its tree begins at files/ or a folder higher; the last three names tell the study.
            self.members = {"/".join(name.split("/")[-3:]): name for name in self.archive.namelist()}

    def __enter__(self) -> Reports:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.archive is not None:
            self.archive.close()

    def text(self, subject_id: str, study_id: str) -> str | None:
        """A study's report, its lines ended by a bare line feed, or None where there is none.

        Raises:
            DataError: the report cannot be read, or is not UTF-8; names its file.
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
    """Where a study's report lies in the tree."""
    return f"p{subject_id[:2]}/p{subject_id}/s{study_id}.txt"


class Texts(NamedTuple):
    """What a study takes from its report, each with single spaces for its line breaks; empty where it has none."""

    findings: str = ""
    impression: str = ""
    indication: str = ""
    labelled: str = ""
    """Name of the section that the official labels were read from, or ``special case``."""


def decoded(content: bytes, where: str) -> str:
    """A report's text with bare line feeds, as the character ranges of the special cases count.

    Raises:
        DataError: not UTF-8; ``where`` opens the message.
    """
    try:
        return content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{where} is not text in UTF-8: {error}; download it again") from error


@cache
def special_cases() -> Mapping[str, str | tuple[int, int]]:
    """Study id -> the section, or the characters [start, stop) of the report, that describe its films."""
    table = json.loads(SPECIAL_CASES.read_text(encoding="utf-8"))
    return {**table["sections"], **{study_id: tuple(span) for study_id, span in table["characters"].items()}}


def texts_of(report: str, study_id: str) -> Texts:
    """The texts of a report, by the rules of :mod:`ammrg.text.sections`.

    The indication is that section's, or the history's, first paragraph: what follows a blank line without a heading
    already describes the films. The headings of a special case cannot be trusted, so what describes its films is its
    findings, and it has neither impression nor indication, where the same words might stand.
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
    """The text on one line; empty where it says nothing."""
    return " ".join(text_or_empty(text).split())
