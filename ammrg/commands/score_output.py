"""Where ``ammrg score`` writes: never over a file that it reads, nor over a file that it has not written."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ammrg.errors import ScoringError
from ammrg.evaluation.ranking.submissions import MISSING, missing_ids
from ammrg.evaluation.ranking.writing import FORMS, SCORES

DEFAULT = "scores.json"
"""The name of a scores file; a damaged one is written anew."""
ENDINGS = {Path(name).suffix for name in (DEFAULT, *FORMS)}
"""Endings of files that a command writes, which no folder has."""


def files_read(options: argparse.Namespace) -> list[Path]:
    """The files that a command reads."""
    return [*options.reports, *options.against, *filter(None, (options.references, options.train_texts))]


def page_beside(out: Path) -> Path:
    """The page of a scores file: ``report.html`` beside ``scores.json``, else of the file's own name."""
    return out.with_name("report.html") if out.name == DEFAULT else out.with_suffix(".html")


def check_scores_file(out: Path, reports: Path, read: Iterable[Path], beside: Iterable[Path] = ()) -> None:
    """Refuse a scores file that cannot be written, or that would replace another file.

    Args:
        out: the scores file; the page goes beside it.
        reports: the file whose scores it will hold; the scores of another file stay.
        read: files that are scored.
        beside: other files that are written.

    Raises:
        ScoringError: says what is there, and what to do.
    """
    if out.is_dir():
        raise ScoringError(f"--out {out}: a folder; the scores of one file go into a file, so name one in it.")
    if not out.suffix:
        raise ScoringError(
            f"--out {out}: has no ending; the scores of one file go into a file, so name one, such as {out / DEFAULT}."
        )
    _check_unread([out, page_beside(out), *beside], read)
    if out.is_file() and out.name != DEFAULT and not _holds_scores(out):
        raise ScoringError(f"--out {out}: there is a file that holds no scores; name another one, or move it away.")
    other = _scores_in(out).get("meta", {}).get("reports", reports.name)
    if other != reports.name:
        raise ScoringError(
            f"--out {out}: holds the scores of {other}; name another place for those of {reports.name}, such as "
            f"--out {out.parent / reports.stem / DEFAULT}, or move it away."
        )
    _check_writable(out.parent)


def check_ranking_folder(folder: Path, read: Iterable[Path]) -> None:
    """Refuse a folder of a ranking that cannot be written, or in which it would replace files that it has not written.

    Raises:
        ScoringError: says what is there, and what to do.
    """
    if folder.exists() and not folder.is_dir():
        raise ScoringError(f"--out {folder}: a file; several files are ranked into a folder, so name one.")
    if not folder.exists() and folder.suffix in ENDINGS:
        raise ScoringError(
            f"--out {folder}: the name of a file; several files are ranked into a folder, so name one, such as "
            f"{folder.with_suffix('')}."
        )
    _check_unread(files_of(folder), read)
    if not holds_ranking(folder):
        missing = folder / MISSING
        foreign = [folder / name for name in FORMS if (folder / name).exists()]
        if missing.exists() and not missing.read_bytes().startswith(missing_ids(()).encode()):
            foreign.append(missing)
        if foreign:
            raise ScoringError(f"--out {folder}: {foreign[0]} is of no ranking; name another folder, or move it away.")
    _check_writable(folder)


def files_of(folder: Path) -> list[Path]:
    """The files that a ranking writes into its folder, or may have written earlier."""
    return [folder / MISSING, *(folder / name for name in FORMS), *(folder / SCORES).glob("*.json")]


def clear_ranking(folder: Path) -> None:
    """Remove an earlier ranking, so that nothing of it stands beside the new one; the list of missing ids stays."""
    for name in FORMS:
        (folder / name).unlink(missing_ok=True)
    for path in filter(_holds_scores, (folder / SCORES).glob("*.json")):
        path.unlink()


def _check_unread(written: Iterable[Path], read: Iterable[Path]) -> None:
    sources = {path.resolve() for path in read}
    for path in written:
        if path.resolve() in sources:
            raise ScoringError(f"--out: {path} would be overwritten, but it is read; name another place.")


def holds_ranking(folder: Path) -> bool:
    """Whether a folder has an earlier ranking."""
    return any(map(_holds_scores, (folder / SCORES).glob("*.json")))


def _holds_scores(path: Path) -> bool:
    return bool(_scores_in(path))


def _scores_in(path: Path) -> dict[str, Any]:
    """The contents of a scores file; empty if the file is absent, damaged or another."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("meta"), dict) else {}


def _check_writable(folder: Path) -> None:
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise ScoringError(
            f"--out: nothing can be written into {folder} ({error.strerror}); name another place."
        ) from error
