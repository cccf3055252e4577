"""Open-I's XML reports: ``ecgen-radiology/<n>.xml``, one for each study, with its films but not their projections."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from rich.progress import track

from ammrg.errors import DataError
from ammrg.text.blank import text_or_empty
from datamodules.sources.iu_xray_csv import Row
from datamodules.sources.r2gen import FilmFolder, inside

XML_FOLDER = "ecgen-radiology"
UID = re.compile(r"CXR(\d+)")


def read_reports(raw: Path, films: FilmFolder) -> dict[str, Row]:
    """Read all reports: uid -> its report, ordered by the numbers in the file names.

    Args:
        raw: folder that contains ``ecgen-radiology/``.
        films: folder of the films, which are named as in the CSV release or as in Open-I's own.

    Raises:
        DataError: a file is not XML in UTF-8, declares a DTD, lacks its study's or a film's id, or a study occurs
            twice.
    """
    rows: dict[str, Row] = {}
    paths = sorted((raw / XML_FOLDER).glob("*.xml"), key=lambda path: (len(path.name), path.name))  # 9 before 10
    for path in track(paths, f"reading {XML_FOLDER}", transient=True):
        row = read_report(path, films)
        if row.uid in rows:
            raise DataError(f"{path}: uId: study {row.uid} occurs twice; each study has one file")
        rows[row.uid] = row
    return rows


def read_report(path: Path, films: FilmFolder) -> Row:
    """Read one report.

    Raises:
        DataError: as in :func:`read_reports`.
    """
    root = parse(path)
    node = root.find("uId")
    name = "" if node is None else node.get("id", "")
    match = UID.fullmatch(name)
    if match is None:
        raise DataError(f"{path}: uId has the id {name!r}; expected CXR and the study's number")
    texts: dict[str, str] = {}
    for part in root.iter("AbstractText"):
        section = part.get("Label", "").upper()
        texts[section] = " ".join((texts.get(section, "") + " " + "".join(part.itertext())).split())
    names = []
    for number, image in enumerate(root.iter("parentImage"), start=1):
        if not image.get("id"):
            raise DataError(f"{path}: parentImage {number} has no id; the id is needed to name the film")
        film = inside(image.get("id", ""), f"{path}: parentImage {number}")
        names.append(film_name(film, match.group(1), films))
    sections = (text_or_empty(texts.get(section, "")) for section in ("FINDINGS", "IMPRESSION", "INDICATION"))
    return Row(match.group(1), *sections, tuple(names))


def film_name(image: str, uid: str, films: FilmFolder) -> str:
    """The file name of a film, from its id in a report.

    ``CXR1_1_IM-0001-3001`` is ``1_IM-0001-3001.dcm.png`` in the CSV release (and if no file exists), and
    ``CXR1_1_IM-0001-3001.png`` in Open-I's own. Some ids contain the study's number once, some twice.
    """
    numbered = image.removeprefix(f"CXR{uid}_" if image.startswith(f"CXR{uid}_{uid}_") else "CXR")
    candidates = (f"{numbered}.dcm.png", f"{image}.png")
    return next((name for name in candidates if films.find(name) is not None), candidates[0])


def parse(path: Path) -> ElementTree.Element:
    """The root of an XML file without a DTD, whose entities could grow to gigabytes or read other files.

    The file is decoded here as UTF-8, so that a declared encoding cannot hide a DTD from the check.

    Raises:
        DataError: the file declares a DTD, or is not XML in UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if "<!DOCTYPE" in text:
            raise DataError(
                f"{path} declares a DTD (<!DOCTYPE), which is refused; Open-I's reports have none, download it again"
            )
        return ElementTree.fromstring(text)
    except (UnicodeDecodeError, ElementTree.ParseError) as error:
        raise DataError(f"{path}: cannot be read as XML in UTF-8: {error}") from error
